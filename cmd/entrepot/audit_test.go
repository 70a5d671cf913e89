package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/journal"
)

// journalServer speaks the journal's part of the server's API: sealed lines, and behind them some that are not sealed yet.
type journalServer struct {
	mu       sync.Mutex
	sealed   int
	unsealed int
	began    time.Time // of line 1; each further one is a minute later
	requests int
}

func (s *journalServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if r.Method == http.MethodPost && r.URL.Path == "/api/v1/audit/verify" {
		fmt.Fprintf(w, `{"checked":%d,"ok":false,"broken":{"seq":7,"reason":"its hash does not fit"}}`, s.sealed)
		return
	}
	after, _ := strconv.Atoi(r.URL.Query().Get("after"))
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	for i := after + 1; i <= s.sealed+s.unsealed && n > 0; i++ {
		e := journal.Event{ID: fmt.Sprintf("id%06d", i), Time: s.began.Add(time.Duration(i-1) * time.Minute)}
		head := ""
		if i <= s.sealed {
			head = fmt.Sprintf(`"seq":%d,"prev":"p","hash":"h",`, i)
		}
		fmt.Fprintf(w, `{%s"event":{"id":%q,"time":%q,"action":"push","actor":"user:alice","repo":"app","tag":"t%d","result":"ok"}}`+"\n",
			head, e.ID, e.Time.Format(time.RFC3339), i)
		n--
	}
}

func (s *journalServer) start(t *testing.T) string {
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return h.URL
}

// tailed returns which lines a tail has printed.
func tailed(t *testing.T, server string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	args = append([]string{"audit", "tail", "--server", server}, args...)
	if code := run(context.Background(), args, nil, &stdout, &stderr, nil); code != 0 {
		t.Fatalf("exit status %d: %s", code, &stderr)
	}
	var tags []string
	for line := range strings.Lines(stdout.String()) {
		_, tag, _ := strings.Cut(strings.TrimSpace(line), "app:t")
		tags = append(tags, tag)
	}
	return strings.Join(tags, " ")
}

func TestAuditTail(t *testing.T) {
	began := time.Now().UTC().Truncate(time.Second).Add(-100 * time.Minute)
	for _, c := range []struct {
		sealed, unsealed int
		args             string
		want             string
	}{
		{0, 0, "", ""},
		{0, 2, "", "1 2"},
		{1, 0, "", "1"},
		{3, 2, "", "1 2 3 4 5"},
		{30, 0, "-n 3", "28 29 30"},
		{30, 2, "-n 3", "30 31 32"},
		{30, 2, "-n 1", "32"},
		{30, 2, "-n 0", ""},
		{5000, 1, "-n 2", "5000 5001"},
		{100, 1, "--since 150s", "99 100 101"},
		{100, 1, "--since 10m -n 1", "101"},
		{100, 0, "--since 7d -n 2", "99 100"},
	} {
		s := &journalServer{sealed: c.sealed, unsealed: c.unsealed, began: began}
		if c.sealed > 1000 {
			s.began = began.Add(-time.Duration(c.sealed) * time.Minute)
		}
		if got := tailed(t, s.start(t), strings.Fields(c.args)...); got != c.want {
			t.Errorf("%d+%d lines, tail %s: %q, want %q", c.sealed, c.unsealed, c.args, got, c.want)
		}
		if s.requests > 60 {
			t.Errorf("%d requests for %d lines", s.requests, c.sealed)
		}
	}
}

func TestAuditTailFollows(t *testing.T) {
	s := &journalServer{sealed: 2, unsealed: 1, began: time.Now().UTC()}
	server := s.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
	defer cancel()
	go func() {
		time.Sleep(time.Second / 2)
		s.mu.Lock() // the third is sealed, a fourth happens
		s.sealed++
		s.mu.Unlock()
	}()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"audit", "tail", "-f", "--server", server}, nil, &stdout, &stderr, nil); code != 0 {
		t.Fatalf("exit status %d: %s", code, &stderr)
	}
	for i := 1; i <= 4; i++ {
		if n := strings.Count(stdout.String(), fmt.Sprintf("app:t%d\n", i)); n != 1 {
			t.Errorf("line %d was printed %d times:\n%s", i, n, &stdout)
		}
	}
}

func TestAuditVerifyFailsWhenBroken(t *testing.T) {
	server := (&journalServer{sealed: 9}).start(t)
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), []string{"audit", "verify", "--server", server}, nil, &stdout, &stderr, nil)
	if code != 1 || !strings.Contains(stderr.String(), "the chain is broken at line 7: its hash does not fit") {
		t.Errorf("exit status %d: %s", code, &stderr)
	}
}
