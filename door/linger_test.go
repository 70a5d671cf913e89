package door_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// TestRefusal_is_read_by_who_still_sends: a client that reads only after it has sent all, or a good part, and slowly, gets to know why it was refused.
func TestRefusal_is_read_by_who_still_sends(t *testing.T) {
	refused := &door.Refusal{Answer: door.Answer{Status: 422, Code: "UNSUPPORTED", Message: "not this"}}
	route := door.Route{Name: "refuse", Match: func(string) (string, string, bool) { return "", "", true }, Methods: map[string]door.Access{
		"PUT": {Action: auth.Knock, Serve: func(http.ResponseWriter, *http.Request, door.Call) error { return refused }},
	}}
	server := httptest.NewServer(door.New(door.Config{Policy: auth.Open}, route))
	t.Cleanup(server.Close)
	for name, c := range map[string]struct {
		header string
		chunks int // of 1 MiB
		pause  time.Duration
	}{
		"all of a known length":   {"Content-Length: 20971520", 20, 0},
		"slowly":                  {"Content-Length: 20971520", 12, 80 * time.Millisecond},
		"in chunks":               {"Transfer-Encoding: chunked", 20, 0},
		"expecting to be told so": {"Content-Length: 20971520\r\nExpect: 100-continue", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			fmt.Fprintf(conn, "PUT /x HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", c.header)
			piece := strings.Repeat("x", 1<<20)
			for range c.chunks {
				if strings.Contains(c.header, "chunked") {
					piece = fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20))
				}
				if _, err := io.WriteString(conn, piece); err != nil {
					t.Fatalf("send: %v", err)
				}
				time.Sleep(c.pause)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != 422 || !strings.Contains(string(body), "not this") || res.ContentLength != int64(len(body)) {
				t.Errorf("%s, %d bytes announced: %s, %v", res.Status, res.ContentLength, body, err)
			}
		})
	}
}
