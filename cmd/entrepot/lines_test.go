package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// An answer that ends before what takes long does is not taken for the whole, whatever was asked for.
func TestLines_of_an_answer_that_breaks_off(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"at once":             {"", "the connection ended before the answer did"},
		"after a line":        {`{"progress": {"looked": 1}}` + "\n", "the connection ended before the answer did"},
		"in a line":           {`{"progress": {`, "answered something else than was asked for: "},
		"with something else": {"<html>\n", "answered something else than was asked for: "},
		"in a line too long":  {`{"result": "` + strings.Repeat("x", answerLimit) + `"}`, "a line is longer than 16"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.body) }))
		for _, verb := range [][]string{
			{"mirror", "run", "up.example.com/team/app"}, {"gc", "plan"}, {"gc", "run"}, {"retention", "plan"}, {"retention", "run"}, {"scrub", "run"},
		} {
			code, out, log := cli(t, []string{"DOCKER_CONFIG=" + t.TempDir()}, append(verb, "--server", server.URL)...)
			if code != 1 || out != "" || !strings.Contains(log, c.want) {
				t.Errorf("%s of an answer that ends %s: %d, %q, %.300q; want %q", verb, name, code, out, log, c.want)
			}
		}
		server.Close()
	}
}
