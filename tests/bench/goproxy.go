// The peer that a Go team would write: httputil.ReverseProxy before one origin, and CONNECT by hand.
// -pool tuned keeps as many idle connections as there are clients; -pool default is http.Transport
// as it comes, which keeps two for each host.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"sync"
	"time"
)

var (
	address = flag.String("listen", "", "address to listen on")
	origin  = flag.String("origin", "", "address of the TLS origin")
	caFile  = flag.String("ca", "", "the origin's authority")
	logPath = flag.String("log", "", "the access log")
	pool    = flag.String("pool", "tuned", "tuned or default")
)

// accessLog buffers its lines and writes them out each second.
type accessLog struct {
	mutex  sync.Mutex
	writer *bufio.Writer
}

func openLog(path string) *accessLog {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	opened := &accessLog{writer: bufio.NewWriterSize(file, 64<<10)}
	go func() {
		for range time.Tick(time.Second) {
			opened.mutex.Lock()
			opened.writer.Flush()
			opened.mutex.Unlock()
		}
	}()
	return opened
}

func (l *accessLog) line(request *http.Request, status int, size int64, took time.Duration) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	fmt.Fprintf(l.writer, "%s %s %s %s %d %d %d\n", time.Now().Format(time.RFC3339), request.RemoteAddr,
		request.Method, request.URL, status, size, took.Microseconds())
}

// recorder sees the status and the size that pass through.
type recorder struct {
	http.ResponseWriter
	status int
	size   int64
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(data []byte) (int, error) {
	count, err := r.ResponseWriter.Write(data)
	r.size += int64(count)
	return count, err
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte     { return b.pool.Get().([]byte) }
func (b *buffers) Put(data []byte) { b.pool.Put(data) }

func newTransport() *http.Transport {
	authorities := x509.NewCertPool()
	text, err := os.ReadFile(*caFile)
	if err != nil || !authorities.AppendCertsFromPEM(text) {
		log.Fatalf("no certificates in %s: %v", *caFile, err)
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		IdleConnTimeout:       600 * time.Second,
		DisableCompression:    true,
		TLSClientConfig: &tls.Config{RootCAs: authorities, ServerName: "api.test", MinVersion: tls.VersionTLS13,
			ClientSessionCache: tls.NewLRUClientSessionCache(64)},
	}
	if *pool == "tuned" {
		transport.MaxIdleConnsPerHost = 1024
	}
	return transport
}

func newProxy() http.Handler {
	return &httputil.ReverseProxy{
		Director: func(request *http.Request) {
			request.URL.Scheme, request.URL.Host = "https", *origin
			request.Host = "api.test"
		},
		Transport:  newTransport(),
		BufferPool: &buffers{sync.Pool{New: func() any { return make([]byte, 32<<10) }}},
	}
}

func tunnel(writer http.ResponseWriter, request *http.Request) {
	far, err := net.DialTimeout("tcp", request.Host, 5*time.Second)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadGateway)
		return
	}
	near, _, err := writer.(http.Hijacker).Hijack()
	if err != nil {
		far.Close()
		return
	}
	io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
	go move(far, near)
	move(near, far)
}

func move(to, from net.Conn) {
	io.Copy(to, from)
	to.Close()
	from.Close()
}

func main() {
	flag.Parse()
	lines, proxy := openLog(*logPath), newProxy()
	handler := func(writer http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodConnect {
			tunnel(writer, request)
			return
		}
		begun, seen := time.Now(), &recorder{ResponseWriter: writer}
		proxy.ServeHTTP(seen, request)
		lines.line(request, seen.status, seen.size, time.Since(begun))
	}
	server := &http.Server{Addr: *address, Handler: http.HandlerFunc(handler),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 600 * time.Second}
	log.Fatal(server.ListenAndServe())
}
