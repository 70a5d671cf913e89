package manage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream"
	"github.com/entrepot/entrepot/registry/upstream/mirror"
	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// house is the routes behind a door, before a registry that mirrors an upstream.
type house struct {
	t        testing.TB
	up       *upstreamtest.Upstream
	reg      *registry.Registry
	index    kv.DB
	mirrors  *mirror.Mirrors
	stopping chan struct{}
	server   *httptest.Server
}

const app = "up.example.com/team/app"

func build(t testing.TB, more ...mirror.Entry) *house {
	t.Helper()
	h := &house{t: t, up: upstreamtest.New(t), index: kv.NewMemory(), stopping: make(chan struct{})}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	h.reg, err = registry.Open(t.Context(), registry.Config{Blobs: blob.NewMemory(), Index: h.index})
	must(err)
	r, err := remote.New(remote.Config{Name: "up.example.com", URLs: []string{h.up.URL}})
	must(err)
	t.Cleanup(r.Close)
	through, err := upstream.New(upstream.Config{Local: h.reg, Below: h.reg, Index: h.index, Upstreams: []upstream.Upstream{{Remote: r}}})
	must(err)
	h.mirrors, err = mirror.New(mirror.Config{Through: through, Local: h.reg, Index: h.index, Entries: append(more, mirror.Entry{Repository: app, Every: time.Hour})})
	must(err)
	h.serve(Config{Mirrors: h.mirrors, Stopping: h.stopping})
	return h
}

func (h *house) serve(c Config) {
	grants := []auth.Grant{{Who: "user:root", Role: auth.Admin, On: auth.Everywhere}}
	for _, role := range auth.Roles() {
		if role != auth.Admin {
			grants = append(grants, auth.Grant{Who: "user:" + string(role), Role: role, On: auth.Everywhere})
		}
	}
	identify := func(_ context.Context, shown auth.Credentials) (auth.Identity, error) {
		name, ok := strings.CutPrefix(shown.Authorization, "Bearer ")
		if !ok {
			return auth.Identity{}, auth.ErrWrong
		}
		who := auth.Identity{Kind: auth.User, Name: name}
		if name == "narrow" {
			who.Name, who.Scope = "root", auth.Scope{}
		}
		return who, nil
	}
	h.server = httptest.NewServer(door.New(door.Config{Policy: auth.NewRules(grants, true), Identify: identify, Log: slog.New(slog.DiscardHandler)}, Routes(c)...))
	h.t.Cleanup(h.server.Close)
}

// open sends a request as somebody ("" is nobody) and returns the answer, whose body the test closes.
func (h *house) open(ctx context.Context, who, method, path, body string) *http.Response {
	h.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, h.server.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	res, err := h.server.Client().Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	return res
}

// do returns the status, the media type and the body.
func (h *house) do(who, method, path, body string) (int, string, []byte) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	res := h.open(ctx, who, method, path, body)
	defer res.Body.Close()
	all, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), all
}

const (
	runs = "/api/v1/mirrors/runs"
	ask  = `{"repository": "` + app + `"}`
)

// said is a line of an answer.
type said struct {
	Progress *mirror.Progress
	Result   *mirror.Result
}

func oneLine(t testing.TB, line []byte) (s said) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return s
}

func TestRun_tells_how_far_it_is(t *testing.T) {
	h := build(t)
	h.up.PushImage("team/app", "1.0", 1000)
	h.up.PushImage("team/app", "2.0", 1000)
	release := make(chan struct{})
	h.up.Fault(func(r upstreamtest.Request) upstreamtest.Fault {
		if r.Kind == "blobs" {
			<-release
		}
		return nil
	})
	res := h.open(t.Context(), "root", "POST", runs, ask)
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/x-ndjson" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d, %v", res.StatusCode, res.Header)
	}
	// Lines come while it runs: the blobs have been waiting since the first.
	lines := bufio.NewScanner(res.Body)
	var last said
	came := false
	for lines.Scan() {
		last = oneLine(t, lines.Bytes())
		if last.Progress != nil && last.Progress.Blobs.Known == 4 && last.Progress.Blobs.Done == 0 && !came {
			came = true
			close(release)
		}
	}
	if !came {
		t.Error("no line came while it ran")
	}
	if r := last.Result; lines.Err() != nil || r == nil || r.Tags.Done != 2 || r.Bytes.Done < 2000 || r.By != "user:root" || r.Repository != app {
		t.Errorf("%v, %+v", lines.Err(), last)
	}
	// The journal knows who did it.
	found := false
	for l, err := range journal.New(h.index).Tail(t.Context(), 0, 100) {
		if err != nil {
			t.Fatal(err)
		}
		found = found || l.Event.Action == "mirror.run" && l.Event.Actor == "user:root" && l.Event.Remote == "127.0.0.1" && l.Event.Request != ""
	}
	if !found {
		t.Error("the journal does not know who mirrored")
	}
}

func TestList_of_mirrors(t *testing.T) {
	h := build(t, mirror.Entry{Repository: "up.example.com/a", Tags: []string{"1.*"}, Versions: ">=1 <2", Last: 3, Platforms: []string{"linux/amd64"}, Referrers: true},
		mirror.Entry{Repository: "up.example.com/b", Every: 36 * time.Hour})
	h.up.PushImage("team/app", "1.0", 10)
	if status, _, body := h.do("root", "POST", runs, ask); status != 200 {
		t.Fatalf("%d: %s", status, body)
	}
	status, media, body := h.do("root", "GET", "/api/v1/mirrors", "")
	if status != 200 || media != "application/json" {
		t.Fatalf("%d, %s: %s", status, media, body)
	}
	var all struct {
		Items []struct {
			Repository, Versions, Every string
			Tags, Platforms             []string
			Last                        int
			Referrers                   bool
			LastRun                     *mirror.Result
			Next                        *time.Time
			Running                     *mirror.Progress
		}
		Next string
	}
	if err := json.Unmarshal(body, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Items) != 3 || all.Next != "" || !bytes.Contains(body, []byte(">=1 <2")) {
		t.Fatalf("%s", body)
	}
	if a := all.Items[0]; a.Repository != "up.example.com/a" || a.Versions != ">=1 <2" || a.Last != 3 || !a.Referrers || len(a.Tags) != 1 || len(a.Platforms) != 1 ||
		a.Every != "" || a.LastRun != nil || a.Next != nil {
		t.Errorf("%+v", a)
	}
	if b := all.Items[1]; b.Every != "36h0m0s" || b.Next == nil || b.Referrers {
		t.Errorf("%+v", b)
	}
	if c := all.Items[2]; c.LastRun == nil || c.LastRun.Tags.Done != 1 || c.Next == nil || c.Next.Before(c.LastRun.Ended) || c.Running != nil {
		t.Errorf("%+v", c)
	}
	// In parts.
	res := h.open(t.Context(), "root", "GET", "/api/v1/mirrors?limit=2", "")
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&all); err != nil || len(all.Items) != 2 || all.Next != "up.example.com/b" ||
		res.Header.Get("Link") != `</api/v1/mirrors?after=up.example.com%2Fb&limit=2>; rel="next"` {
		t.Errorf("%v, %+v, %q", err, all, res.Header.Get("Link"))
	}
	all.Next = ""
	if _, _, body := h.do("root", "GET", "/api/v1/mirrors?limit=2&after=up.example.com%2Fb", ""); json.Unmarshal(body, &all) != nil || len(all.Items) != 1 || all.Next != "" {
		t.Errorf("%s", body)
	}
}

// Only who manages the registry may know of it.
func TestRoutes_take_the_right_to_manage(t *testing.T) {
	h := build(t)
	h.up.PushImage("team/app", "1.0", 10)
	for _, c := range []struct{ method, path, body string }{{"GET", "/api/v1/mirrors", ""}, {"POST", runs, ask}, {"POST", runs, `{"repository": "nothing"}`}} {
		for who, want := range map[string]int{"": 401, "narrow": 401, "stranger": 403, "root": 200} {
			if c.body == `{"repository": "nothing"}` && who == "root" {
				want = 404
			}
			if status, _, body := h.do(who, c.method, c.path, c.body); status != want {
				t.Errorf("%s %s as %q: %d, want %d: %s", c.method, c.path, who, status, want, body)
			}
		}
		for _, role := range auth.Roles() {
			if role == auth.Admin {
				continue
			}
			if status, _, body := h.do(string(role), c.method, c.path, c.body); status != 403 {
				t.Errorf("%s %s as %s: %d, want 403: %s", c.method, c.path, role, status, body)
			}
		}
	}
}

func TestRoutes_refuse_with_problems(t *testing.T) {
	h := build(t)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"no such entry":       {"POST", runs, `{"repository": "up.example.com/team/other"}`, 404, "up.example.com/team/other is not mirrored"},
		"no repository":       {"POST", runs, `{}`, 400, "name a repository"},
		"no JSON":             {"POST", runs, `x`, 400, "no JSON"},
		"no object":           {"POST", runs, `[]`, 400, "no JSON"},
		"two":                 {"POST", runs, ask + ask, 400, "more than one"},
		"an unknown field":    {"POST", runs, `{"repo": "x"}`, 400, "repo"},
		"no body":             {"POST", runs, "", 400, "Content-Type"},
		"too long":            {"POST", runs, `{"repository": "` + strings.Repeat("x", maxBody) + `"}`, 413, "shorten"},
		"another method":      {"DELETE", runs, "", 405, ""},
		"an unknown filter":   {"GET", "/api/v1/mirrors?nothing=x", "", 400, "after, limit"},
		"a parameter":         {"POST", runs + "?x=y", ask, 400, "no parameters"},
		"a parameter twice":   {"GET", "/api/v1/mirrors?limit=1&limit=2", "", 400, "once"},
		"a limit of nothing":  {"GET", "/api/v1/mirrors?limit=0", "", 400, "from 1 to 1000"},
		"a limit too high":    {"GET", "/api/v1/mirrors?limit=1001", "", 400, "from 1 to 1000"},
		"nothing of the kind": {"GET", "/api/v1/mirrors/", "", 404, ""},
	} {
		status, media, body := h.do("root", c.method, c.path, c.body)
		if status != c.status || media != "application/problem+json" || !strings.Contains(string(body), c.says) {
			t.Errorf("%s: %d, %s: %s; want %d with %q", name, status, media, body, c.status, c.says)
		}
	}
	// Where nothing is mirrored there is nothing to list, and nothing to run.
	none := &house{t: t}
	none.serve(Config{})
	if status, _, body := none.do("root", "GET", "/api/v1/mirrors", ""); status != 200 || string(body) != `{"items":[]}`+"\n" {
		t.Errorf("%d: %s", status, body)
	}
	if status, _, body := none.do("root", "POST", runs, ask); status != 404 {
		t.Errorf("%d: %s", status, body)
	}
}

// A client that leaves stops nothing, and the registry does not wait for one that watches.
func TestRun_goes_on_without_who_asked(t *testing.T) {
	h := build(t)
	h.up.PushImage("team/app", "1.0", 10)
	release := make(chan struct{})
	h.up.Fault(func(r upstreamtest.Request) upstreamtest.Fault {
		if r.Kind == "blobs" {
			<-release
		}
		return nil
	})
	ctx, leave := context.WithCancel(t.Context())
	res := h.open(ctx, "root", "POST", runs, ask)
	if _, err := bufio.NewReader(res.Body).ReadBytes('\n'); err != nil {
		t.Fatal(err)
	}
	leave()
	res.Body.Close()
	watched := h.open(t.Context(), "root", "POST", runs, ask)
	defer watched.Body.Close()
	lines := bufio.NewReader(watched.Body)
	if _, err := lines.ReadBytes('\n'); err != nil {
		t.Fatal(err)
	}
	close(h.stopping)
	if rest, err := io.ReadAll(lines); err == nil || bytes.Contains(rest, []byte(`"result"`)) {
		t.Errorf("who watches when the registry stops reads %s, %v, and takes that for the whole", rest, err)
	}
	if s := h.mirrors.States()[0]; s.Running == nil {
		t.Error("it does not run any more")
	}
	close(release)
	ended, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if r, err := h.mirrors.Start(ended, app, nil); err != nil || r.Tags.Done != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if h.up.Asked("blobs") != 2 {
		t.Errorf("%d blobs were asked for, want 2", h.up.Asked("blobs"))
	}
}
