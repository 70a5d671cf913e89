//go:build backends

package program_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
)

func TestMain(m *testing.M) { os.Exit(program.Run(m)) }

// ask sends a request, of which nothing is wanted but the status; 0: there was no answer.
func ask(t *testing.T, method, url, body string) int {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

const blobs = "/v2/some/where/blobs/"

// push stores content and returns its path.
func push(t *testing.T, p *program.Program, content string) string {
	t.Helper()
	d := digest.FromString(content).String()
	if status := ask(t, http.MethodPost, p.URL+blobs+"uploads/?digest="+d, content); status != http.StatusCreated {
		t.Fatalf("a push: %d\n%s", status, p.Tail(5))
	}
	return blobs + d
}

// TestReplicas_are_one_program to whoever started it: one address, one folder, one life, and all of them answer.
func TestReplicas_are_one_program(t *testing.T) {
	t.Setenv(program.Replicas, "3")
	p := program.Start(t)
	var path string
	for i := range 6 {
		path = push(t, p, fmt.Sprintf("content %d", i))
	}
	for i, log := range strings.Split(p.Log(), "--- replica ")[1:] {
		if strings.Count(log, "method=POST path="+blobs) != 2 {
			t.Errorf("replica %d was not sent two of six requests:\n%s", i+1, log)
		}
	}
	if n := strings.Count(p.Log(), "--- replica "); n != 3 {
		t.Errorf("there are the logs of %d replicas, want 3", n)
	}
	if _, err := os.Stat(p.Dir + "/data"); !os.IsNotExist(err) {
		t.Errorf("replicas keep something in their folder: %v", err)
	}
	p.Kill()
	if status := ask(t, http.MethodGet, p.URL+path, ""); status != 0 {
		t.Errorf("killed, it answers %d", status)
	}
	p.Restart()
	if status := ask(t, http.MethodGet, p.URL+path, ""); status != http.StatusOK {
		t.Errorf("restarted, it answers %d", status)
	}
	p.Stop()
	if status := p.Status(); status != 0 {
		t.Errorf("stopped, its status is %d", status)
	}
	if out, err := p.CLI("verify"); err != nil || !strings.Contains(out, "6 blobs") {
		t.Errorf("entrepot verify over the same stores: %v\n%s", err, out)
	}
	if again := program.Start(t, program.In(p.Dir)); ask(t, http.MethodGet, again.URL+path, "") != http.StatusOK {
		t.Error("what is started in the same folder does not stand on the same stores")
	}
	if other := program.Start(t); ask(t, http.MethodGet, other.URL+path, "") != http.StatusNotFound {
		t.Error("what is started in another folder stands on the same stores")
	}
}

// TestAlone is one process with its data in its folder, whatever the environment asks for.
func TestAlone(t *testing.T) {
	t.Setenv(program.Replicas, "3")
	p := program.Start(t, program.Alone("this is about one"))
	push(t, p, "content")
	if p.PID() == 0 || strings.Contains(p.Log(), "--- replica") {
		t.Errorf("these are several:\n%s", p.Log())
	}
	if _, err := os.Stat(p.Dir + "/data/index.db"); err != nil {
		t.Error(err)
	}
}
