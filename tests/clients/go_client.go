// An ordinary app on Go's net/http: its default transport reads http_proxy by itself. (It never
// proxies localhost, hence the NAME.test in the URL.)
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
)

func show(answer *http.Response, err error) {
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.StatusCode, strings.TrimSpace(string(body)), "| Via:", answer.Header.Get("Via"))
}

func main() {
	for number := 1; number <= 2; number++ {
		show(http.Get(fmt.Sprintf("%s?go=%d", os.Args[1], number)))
	}
	show(http.Post(os.Args[2], "text/plain", strings.NewReader("twelve bytes")))
}
