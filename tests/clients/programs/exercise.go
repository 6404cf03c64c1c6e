// Go's net/http, as an ordinary app uses it: everything that test_exercises.py asks for (exercise.go
// exercise BASE_URL REFUSING_URL), told in a line of JSON. The two GETs are go_client.go's.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func ask(method, url string, body io.Reader) []any {
	answer := must(http.DefaultClient.Do(must(http.NewRequest(method, url, body))))
	defer answer.Body.Close()
	got := must(io.ReadAll(answer.Body))
	return []any{answer.StatusCode, len(got), fmt.Sprintf("%x", sha256.Sum256(got))}
}

func main() {
	base, refusing := os.Args[2], os.Args[3]
	answers := map[string][]any{
		"upload":  ask("PUT", base+"/upload", bytes.NewReader(must(os.ReadFile("upload.bin")))),
		"chunked": ask("POST", base+"/chunked", must(os.Open("upload.bin"))), // of unknown length
	}
	for _, name := range []string{"download", "moved", "relative", "missing", "unavailable"} {
		answers[name] = ask("GET", base+"/"+name, nil)
	}
	answers["refused"] = ask("GET", refusing, nil)
	fmt.Println(string(must(json.Marshal(answers))))
}
