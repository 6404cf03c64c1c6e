// One request by Go's http.Transport against an obstacle, with the limits that it has for it.
// Prints the seconds until something ended it and what that was, or "waiting" once -patience is over.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"time"
)

var (
	do          = flag.String("do", "get", "get, second, upload, expect, idle or tunnel")
	url         = flag.String("url", "", "what to ask for")
	address     = flag.String("address", "", "host:port to dial instead of the URL's; a host is looked up at -dns")
	authorities = flag.String("ca", "", "PEM file")
	dns         = flag.String("dns", "", "address of the name server")
	patience    = flag.Duration("patience", 3*time.Second, "how long to wait when nothing ends it")

	dialLimit     = flag.Duration("dial", 0, "Dialer.Timeout")
	tlsLimit      = flag.Duration("tls", 0, "TLSHandshakeTimeout")
	headLimit     = flag.Duration("head", 0, "ResponseHeaderTimeout")
	expectLimit   = flag.Duration("expect", 0, "ExpectContinueTimeout")
	idleLimit     = flag.Duration("idle", 0, "IdleConnTimeout")
	totalLimit    = flag.Duration("total", 0, "Client.Timeout")
	contextLimit  = flag.Duration("context", 0, "a deadline of the request's context")
	connectionCap = flag.Int("connections", 0, "MaxConnsPerHost")
)

// What ended it, in words; main prints the first.
var ended = make(chan string, 8)

type watched struct {
	net.Conn
	once sync.Once
}

func (c *watched) Close() error {
	if *do == "idle" {
		c.once.Do(func() { ended <- "closed" })
	}
	return c.Conn.Close()
}

func dialer() func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{Timeout: *dialLimit}
	if *dns != "" {
		d.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, *dns)
		}}
	}
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, *address)
		if err != nil {
			return nil, err
		}
		return &watched{Conn: conn}, nil
	}
}

func client() *http.Client {
	pool := x509.NewCertPool()
	if pem, err := os.ReadFile(*authorities); err == nil {
		pool.AppendCertsFromPEM(pem)
	}
	return &http.Client{Timeout: *totalLimit, Transport: &http.Transport{
		DialContext: dialer(), TLSClientConfig: &tls.Config{RootCAs: pool}, TLSHandshakeTimeout: *tlsLimit,
		ResponseHeaderTimeout: *headLimit, ExpectContinueTimeout: *expectLimit, IdleConnTimeout: *idleLimit,
		MaxConnsPerHost: *connectionCap,
	}}
}

// A body that tells when it is first asked for.
type told struct{ io.Reader }

func (b told) Read(p []byte) (int, error) {
	ended <- "sends the body"
	return b.Reader.Read(p)
}

func request(ctx context.Context, path string) *http.Request {
	var body io.Reader
	method := "GET"
	switch *do {
	case "upload":
		method, body = "POST", bytes.NewReader(make([]byte, 64<<20))
	case "expect":
		method, body = "POST", told{bytes.NewReader(make([]byte, 8))}
	}
	r, err := http.NewRequestWithContext(ctx, method, *url+path, body)
	if err != nil {
		panic(err)
	}
	switch *do {
	case "expect":
		r.ContentLength = 8
		r.Header.Set("Expect", "100-continue")
	case "tunnel":
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "echo")
	}
	return r
}

// Whole responses only; nothing is said about one that an idle connection or a body's start ends.
func ask(ctx context.Context, c *http.Client, path string) string {
	if *contextLimit > 0 {
		limited, cancel := context.WithTimeout(ctx, *contextLimit)
		defer cancel()
		ctx = limited
	}
	response, err := c.Do(request(ctx, path))
	if err != nil {
		return err.Error()
	}
	if *do == "tunnel" {
		_, err = response.Body.Read(make([]byte, 1))
		return fmt.Sprint("tunnel: ", err)
	}
	_, err = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	if err != nil {
		return fmt.Sprint(response.StatusCode, ", then ", err)
	}
	return fmt.Sprint(response.StatusCode)
}

// Returns once the first request has its connection.
func occupy(c *http.Client) {
	had := make(chan struct{})
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { close(had) }}
	go ask(httptrace.WithClientTrace(context.Background(), trace), c, "/first")
	<-had
}

func main() {
	flag.Parse()
	c := client()
	switch *do {
	case "second":
		occupy(c)
	case "idle":
		ask(context.Background(), c, "/")
	}
	begun := time.Now()
	if *do != "idle" {
		go func() {
			if outcome := ask(context.Background(), c, "/"); *do != "expect" {
				ended <- outcome
			}
		}()
	}
	select {
	case what := <-ended:
		fmt.Printf("%.3f %s\n", time.Since(begun).Seconds(), what)
	case <-time.After(*patience):
		fmt.Println("waiting")
	}
}
