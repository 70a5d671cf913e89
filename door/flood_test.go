package door

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/entrepot/entrepot/auth"
)

// answers are what the routes of TestFlood answer.
var answers = map[string]error{
	"/401": &Refusal{Answer: Unauthorized}, "/403": &Refusal{Answer: Denied}, "/429": &auth.Wait{After: time.Second, Reason: "wait"},
	"/404": &Refusal{Answer: Unknown}, "/500": context.DeadlineExceeded,
}

// lines is a log that tests read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// taken returns of how many requests the log tells since the last call, and of how many it says that it does not.
func (l *lines) taken(t *testing.T) (requests, missing int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	for line := range strings.Lines(l.text.String()) {
		var entry struct {
			Msg      string
			Refusals int
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry.Msg == "request" {
			requests++
		} else if missing += entry.Refusals; entry.Msg != "more refusals were not logged" {
			t.Errorf("a line that nobody expects: %s", line)
		}
	}
	return requests, missing
}

// TestFlood: refusals without end get a line each up to a bound, and one more line for the rest; all are counted, and nothing else is left out.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		metrics := prometheus.NewRegistry()
		d := New(Config{Policy: auth.Open, Log: slog.New(slog.NewJSONHandler(&log, nil)), Metrics: metrics}, Route{
			Name: "answers", Match: anywhere,
			Methods: map[string]Access{http.MethodPut: {auth.Enter, func(_ http.ResponseWriter, r *http.Request, _ Call) error { return answers[r.URL.Path] }}},
		})
		all := 0
		for _, c := range []struct {
			paths             []string
			times             int
			requests, missing int
		}{
			{[]string{"/401"}, 1, 1, 0},
			{[]string{"/401"}, refusalLines, refusalLines, 0},
			{[]string{"/401"}, refusalLines + 1, refusalLines, 1},
			{[]string{"/401", "/403", "/429"}, 100, refusalLines, 300 - refusalLines},
			{[]string{"/404", "/500"}, 100, 200, 0},
			{[]string{"/403"}, 5, 5, 0},
		} {
			for range c.times {
				for _, path := range c.paths {
					d.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPut, path, nil))
					all++
				}
			}
			time.Sleep(time.Second - 1)
			synctest.Wait()
			if requests, missing := log.taken(t); requests != c.requests || missing != 0 {
				t.Errorf("within a second %d of %d requests of %v are logged, and %d said to be missing; want %d and none", requests, c.times*len(c.paths), c.paths, missing, c.requests)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if requests, missing := log.taken(t); requests != 0 || missing != c.missing {
				t.Errorf("at the end of the second %d requests of %v are logged, and %d said to be missing; want none and %d", requests, c.paths, missing, c.missing)
			}
		}
		families, err := metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		counted := 0.0
		for _, family := range families {
			if family.GetName() == "entrepot_http_requests_total" {
				for _, m := range family.GetMetric() {
					counted += m.GetCounter().GetValue()
				}
			}
		}
		if counted != float64(all) {
			t.Errorf("%v requests are counted, want %d", counted, all)
		}
	})
}

// TestFlood_by_many_at_once: between the lines and the count none is lost, and none is told twice.
func TestFlood_by_many_at_once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		f := &flood{log: slog.New(slog.NewJSONHandler(&log, nil))}
		var passed atomic.Int64
		for range 100 {
			go func() {
				if f.passes() {
					passed.Add(1)
				}
			}()
		}
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if requests, missing := log.taken(t); passed.Load() != refusalLines || requests != 0 || missing != 100-refusalLines {
			t.Errorf("%d are to be logged and %d are said to be missing, want %d and %d", passed.Load(), missing, refusalLines, 100-refusalLines)
		}
	})
}
