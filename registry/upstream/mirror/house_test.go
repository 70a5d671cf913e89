package mirror

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream"
	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

const (
	there = "team/app"
	app   = "up.example.com/" + there
)

// patience is how long a test waits for something that must come.
const patience = 30 * time.Second

// clock is one that a test moves.
type clock struct {
	mu   sync.Mutex
	time time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *clock) later(d time.Duration) {
	c.mu.Lock()
	c.time = c.time.Add(d)
	c.mu.Unlock()
}

// house is a registry with one upstream, on Memory stores, and what mirrors it.
type house struct {
	*Mirrors
	t       testing.TB
	up      *upstreamtest.Upstream
	reg     *registry.Registry
	through *upstream.Through
	index   kv.DB
	clock   *clock
}

func build(t testing.TB, entries ...Entry) *house {
	t.Helper()
	h := &house{t: t, up: upstreamtest.New(t), index: kv.NewMemory(), clock: &clock{time: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}}
	var err error
	if h.reg, err = registry.Open(t.Context(), registry.Config{Blobs: blob.NewMemory(), Index: h.index}); err != nil {
		t.Fatal(err)
	}
	h.connect()
	h.Mirrors = h.replica(entries...)
	return h
}

// connect lets the registry see its upstream anew, as after a restart.
func (h *house) connect() {
	h.t.Helper()
	r, err := remote.New(remote.Config{
		Name: "up.example.com", URLs: []string{h.up.URL}, Breaker: remote.Breaker{Failures: 1000}, Now: h.clock.now,
		Timeouts: remote.Timeouts{Dial: patience, Header: patience, Stall: patience},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(r.Close)
	h.through, err = upstream.New(upstream.Config{
		Local: h.reg, Below: h.reg, Index: h.index, Now: h.clock.now,
		Upstreams: []upstream.Upstream{{Remote: r, TagTTL: time.Minute, Deny: []string{"team/secret"}}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// replica returns mirrors on the same index, as another process has them, or the same one after a restart.
func (h *house) replica(entries ...Entry) *Mirrors {
	h.t.Helper()
	m, err := New(Config{Through: h.through, Local: h.reg, Index: h.index, Entries: entries, Now: h.clock.now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
	return m
}

// running lets mirrors keep their schedule until stop, or the end of the test.
func (h *house) running(m *Mirrors) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	stop = func() { cancel(); <-done }
	h.t.Cleanup(stop)
	return stop
}

// start mirrors the repository and wants so many failures.
func (h *house) start(failures int) Result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	r, err := h.Start(ctx, app, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if r.Failed != failures || len(r.Failures) != failures {
		h.t.Fatalf("%d failures, want %d: %+v", r.Failed, failures, r.Failures)
	}
	return r
}

// tags returns the tags that are here.
func (h *house) tags() string {
	h.t.Helper()
	var all []string
	for tag, err := range h.reg.Tags(h.t.Context(), app, "") {
		if registry.Code(err) == registry.NameUnknown {
			break
		}
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, tag)
	}
	return strings.Join(all, " ")
}

// whole fails unless an image is here with all that it is made of.
func (h *house) whole(image upstreamtest.Image) {
	h.t.Helper()
	if _, _, err := h.reg.Manifest(h.t.Context(), app, string(image.Descriptor.Digest)); err != nil {
		h.t.Errorf("manifest %s is not here: %v", image.Descriptor.Digest, err)
	}
	blobs := slices.Clone(image.Layers)
	if image.Config.Digest != "" {
		blobs = append(blobs, image.Config)
	}
	for _, d := range blobs {
		if _, err := h.reg.Blob(h.t.Context(), app, d.Digest); err != nil {
			h.t.Errorf("blob %s is not here: %v", d.Digest, err)
		}
	}
}

// none fails if a manifest or a blob is here.
func (h *house) none(all ...digest.Digest) {
	h.t.Helper()
	for _, d := range all {
		if _, err := h.reg.Stored(h.t.Context(), app, string(d)); err == nil {
			h.t.Errorf("manifest %s is here, and should not be", d)
		}
		if _, err := h.reg.Blob(h.t.Context(), app, d); err == nil {
			h.t.Errorf("blob %s is here, and should not be", d)
		}
	}
}

// asked returns how often what was asked of the upstream, by method and kind: "HEAD manifests".
func (h *house) asked() map[string]int {
	all := map[string]int{}
	for _, r := range h.up.Requests() {
		if r.Kind != "ping" && r.Kind != "token" {
			all[r.Method+" "+r.Kind]++
		}
	}
	return all
}

// await waits until something holds.
func (h *house) await(what string, holds func() bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// sign tags something for a digest as cosign does.
func (h *house) sign(d digest.Digest, suffix string) upstreamtest.Image {
	return h.up.PushImage(there, strings.Replace(string(d), ":", "-", 1)+suffix, 50)
}
