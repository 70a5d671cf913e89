package manage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/retain"
	"github.com/entrepot/entrepot/registry/retain/collect"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// keep is a registry with its collector and its rules, two days after something was pushed.
type keep struct {
	*house
	ahead     atomic.Int64
	collector *collect.Collector
	retention *retain.Retention
}

const image = `{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [], "annotations": {"n": %q}}`

func collecting(t testing.TB, rules ...retain.Rule) *keep {
	t.Helper()
	k := &keep{house: &house{t: t, index: kv.NewMemory(), stopping: make(chan struct{})}}
	now := func() time.Time { return time.Now().Add(time.Duration(k.ahead.Load())) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	k.reg, err = registry.Open(t.Context(), registry.Config{Blobs: blob.NewMemory(), Index: k.index, Now: now})
	must(err)
	k.collector = collect.New(k.reg)
	k.retention, err = retain.New(retain.Config{Registry: k.reg, Index: k.index, Rules: rules, Now: now})
	must(err)
	for _, tag := range []string{"pr-1", "pr-2", "1.0.0"} {
		_, err := k.reg.PutManifest(t.Context(), registry.Put{Repo: "team/app", Ref: tag, Body: fmt.Appendf(nil, image, tag)})
		must(err)
	}
	content := bytes.Repeat([]byte("x"), 20_000)
	must(k.reg.PutBlob(t.Context(), "team/app", digest.FromBytes(content), 20_000, bytes.NewReader(content)))
	k.ahead.Store(int64(48 * time.Hour))
	k.serve(Config{Collector: k.collector, Retention: k.retention, Stopping: k.stopping})
	return k
}

var pulls = retain.Rule{Repositories: []string{"**"}, Tags: []string{"pr-*"}, KeepLast: 1}

// answer is what the lines of an answer say: the fates, and the result.
func answer(t testing.TB, body []byte) (fates []map[string]any, result json.RawMessage) {
	t.Helper()
	for text := range bytes.Lines(body) {
		var line struct {
			Fate, Progress map[string]any
			Result         json.RawMessage
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&line); err != nil || result != nil {
			t.Fatalf("%v, or behind the result: %s", err, text)
		}
		if line.Fate != nil {
			fates = append(fates, line.Fate)
		}
		result = line.Result
	}
	return fates, result
}

func TestGC_plans_and_runs(t *testing.T) {
	k := collecting(t)
	for path, want := range map[string]int{"/api/v1/gc/plan": 1, "/api/v1/gc/plan?orphans=true&all=false": 1} {
		status, media, body := k.do("root", "GET", path, "")
		fates, result := answer(t, body)
		if status != 200 || media != "application/x-ndjson" || len(fates) != want || fates[0]["goes"] != true || fates[0]["why"] != "no manifest of the repository names it" ||
			!bytes.Contains(result, []byte(`"doomed":1,"bytes":20000`)) || bytes.Contains(result, []byte("orphans")) != strings.Contains(path, "orphans=true") {
			t.Errorf("%s: %d, %s: %s", path, status, media, body)
		}
	}
	run := func(body string) (r collect.Result) {
		t.Helper()
		status, _, answered := k.do("root", "POST", "/api/v1/gc/runs", body)
		_, result := answer(t, answered)
		if err := json.Unmarshal(result, &r); err != nil || status != 200 || r.By != "user:root" || r.Ended.Before(r.Began) {
			t.Fatalf("%d, %v: %s", status, err, answered)
		}
		return r
	}
	if r := run(`{}`); r.Swept.Doomed != 1 || r.Orphans != nil {
		t.Errorf("%+v", r)
	}
	k.ahead.Add(int64(time.Hour))
	if r := run(`{"orphans": true}`); r.Reaped.Blobs != 1 || r.Reaped.Bytes != 20_000 || r.Orphans == nil {
		t.Errorf("%+v", r)
	}
}

func TestRetention_plans_and_runs(t *testing.T) {
	k := collecting(t, pulls)
	for path, want := range map[string]int{
		"/api/v1/retention/plan": 1, "/api/v1/retention/plan?all=true": 3, "/api/v1/retention/plan?all=true&repository=team/app": 3,
		"/api/v1/retention/plan?repository=team/other": 0,
	} {
		status, media, body := k.do("root", "GET", path, "")
		fates, result := answer(t, body)
		if status != 200 || media != "application/x-ndjson" || len(fates) != want || result == nil {
			t.Errorf("%s: %d, %s: %s", path, status, media, body)
		}
		for _, f := range fates {
			if f["goes"] != (f["tag"] == "pr-1") || f["why"] == "" {
				t.Errorf("%s: %v", path, f)
			}
		}
	}
	status, _, body := k.do("root", "POST", "/api/v1/retention/runs", "{}")
	_, result := answer(t, body)
	var r retain.Result
	if err := json.Unmarshal(result, &r); err != nil || status != 200 || r.Goes.Tags != 1 || r.By != "user:root" {
		t.Errorf("%d, %v: %s", status, err, body)
	}
	if _, err := k.reg.Stored(t.Context(), "team/app", "pr-1"); registry.Code(err) != registry.ManifestUnknown {
		t.Errorf("pr-1: %v", err)
	}
	found := false
	for l, err := range journal.New(k.index).Tail(t.Context(), 0, 100) {
		if err != nil {
			t.Fatal(err)
		}
		found = found || l.Event.Action == "tag.delete" && l.Event.Actor == "system:retention" && l.Event.Request != ""
	}
	if !found {
		t.Error("the journal does not know who removed it")
	}
}

var newRoutes = []struct{ method, path, body string }{
	{"GET", "/api/v1/gc/plan", ""}, {"POST", "/api/v1/gc/runs", "{}"}, {"GET", "/api/v1/retention/plan", ""}, {"POST", "/api/v1/retention/runs", "{}"},
}

// Only who manages the registry may do this, or know of it.
func TestGC_takes_the_right_to_manage(t *testing.T) {
	k := collecting(t, pulls)
	for _, c := range newRoutes {
		for who, want := range map[string]int{"": 401, "narrow": 401, "stranger": 403} {
			if status, _, body := k.do(who, c.method, c.path, c.body); status != want {
				t.Errorf("%s %s as %q: %d, want %d: %s", c.method, c.path, who, status, want, body)
			}
		}
		for _, role := range auth.Roles() {
			if role == auth.Admin {
				continue
			}
			if status, _, body := k.do(string(role), c.method, c.path, c.body); status != 403 {
				t.Errorf("%s %s as %s: %d, want 403: %s", c.method, c.path, role, status, body)
			}
		}
	}
	if _, err := k.reg.Stored(t.Context(), "team/app", "pr-1"); err != nil {
		t.Errorf("somebody of those had it removed: %v", err)
	}
	for _, c := range newRoutes {
		if status, _, body := k.do("root", c.method, c.path, c.body); status != 200 {
			t.Errorf("%s %s as root: %d: %s", c.method, c.path, status, body)
		}
	}
}

func TestGC_refuses_with_problems(t *testing.T) {
	k := collecting(t, pulls)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"no truth":          {"GET", "/api/v1/gc/plan?all=perhaps", "", 400, "true or false"},
		"an unknown filter": {"GET", "/api/v1/gc/plan?repository=x", "", 400, "all, orphans"},
		"another of it":     {"GET", "/api/v1/retention/plan?orphans=true", "", 400, "all, repository"},
		"no repository":     {"GET", "/api/v1/retention/plan?repository=A/../b", "", 400, "is no repository"},
		"no body":           {"POST", "/api/v1/gc/runs", "", 400, "Content-Type"},
		"an unknown field":  {"POST", "/api/v1/gc/runs", `{"orphan": true}`, 400, "orphan"},
		"a rule":            {"POST", "/api/v1/retention/runs", `{"keepLast": 1}`, 400, "keepLast"},
		"another method":    {"GET", "/api/v1/gc/runs", "", 405, ""},
	} {
		status, media, body := k.do("root", c.method, c.path, c.body)
		if status != c.status || media != "application/problem+json" || !strings.Contains(string(body), c.says) {
			t.Errorf("%s: %d, %s: %s; want %d with %q", name, status, media, body, c.status, c.says)
		}
	}
	none := &house{t: t}
	none.serve(Config{})
	for _, c := range newRoutes {
		if status, _, body := none.do("root", c.method, c.path, c.body); status != 404 {
			t.Errorf("%s %s where there is nothing of the kind: %d: %s", c.method, c.path, status, body)
		}
	}
}

// A plan of very much ends when its reader leaves, and does not pass for a whole one when the registry stops.
func TestPlan_ends_with_its_reader(t *testing.T) {
	k := collecting(t)
	entered, left := make(chan struct{}), make(chan error, 1)
	stays := func(ctx context.Context, _, _ string, _ registry.Stored) (string, error) {
		close(entered)
		<-ctx.Done()
		left <- ctx.Err()
		return "", ctx.Err()
	}
	var err error
	k.retention, err = retain.New(retain.Config{Registry: k.reg, Index: k.index, Rules: []retain.Rule{{Repositories: []string{"**"}, OlderThan: time.Minute}}, Stays: stays,
		Now: func() time.Time { return time.Now().Add(48 * time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	k.serve(Config{Retention: k.retention, Stopping: k.stopping})
	gone := func() {
		t.Helper()
		select {
		case err := <-left:
			if err == nil {
				t.Error("its context has not ended")
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the plan goes on")
		}
	}
	ctx, leave := context.WithCancel(t.Context())
	res := k.open(ctx, "root", "GET", "/api/v1/retention/plan", "")
	<-entered
	leave()
	res.Body.Close()
	gone()
	entered = make(chan struct{})
	res = k.open(t.Context(), "root", "GET", "/api/v1/retention/plan", "")
	defer res.Body.Close()
	<-entered
	close(k.stopping)
	gone()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if bytes.Contains(lines.Bytes(), []byte(`"result"`)) {
			t.Errorf("a plan that was cut has a result: %s", lines.Bytes())
		}
	}
	if lines.Err() == nil {
		t.Error("a plan that was cut looks whole")
	}
}
