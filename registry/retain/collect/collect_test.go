package collect

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/retain/follow"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// house is a registry whose time the test moves, with content that nothing names.
type house struct {
	reg   *registry.Registry
	index kv.DB
	blobs blob.Store
	ahead atomic.Int64
}

func build(t testing.TB) *house {
	t.Helper()
	h := &house{index: kv.NewMemory(), blobs: blob.NewMemory()}
	var err error
	h.reg, err = registry.Open(t.Context(), registry.Config{Blobs: h.blobs, Index: h.index, Now: func() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// push stores a blob that is too large for the index.
func (h *house) push(t testing.TB, text string) digest.Digest {
	t.Helper()
	content := bytes.Repeat([]byte(text), 20_000)
	d := digest.FromBytes(content)
	if err := h.reg.PutBlob(t.Context(), "cloud/dmp/app", d, int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return d
}

// has tells whether the content is there.
func (h *house) has(t testing.TB, d digest.Digest) bool {
	t.Helper()
	_, err := h.blobs.Stat(t.Context(), d)
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func TestCollector_plans_and_then_does(t *testing.T) {
	h := build(t)
	c := New(h.reg)
	old := h.push(t, "old")
	h.ahead.Store(int64(48 * time.Hour))
	young := h.push(t, "young")
	var why []string
	sums, err := c.Plan(t.Context(), Options{}, func(f registry.Fate) {
		if f.Goes == (f.Digest == young) {
			t.Errorf("%+v", f)
		}
		why = append(why, f.Why)
	})
	if err != nil || sums.Swept.Blobs != 2 || sums.Swept.Doomed != 1 || sums.Swept.Bytes != 60_000 || len(why) != 2 || sums.Orphans != nil {
		t.Errorf("%+v, %v, %q", sums, err, why)
	}
	var last Progress
	by := journal.By(t.Context(), journal.Actor{Name: "user:root"})
	result, err := c.Start(by, Options{}, func(p Progress) { last = p })
	if err != nil || result.By != "user:root" || result.Swept.Doomed != 1 || result.Reaped.Blobs != 0 || last.Step != "reap" || last.Looked == 0 {
		t.Errorf("%+v, %v, %+v", result, err, last)
	}
	h.ahead.Add(int64(time.Hour)) // longer than what is to go waits
	if result, err = c.Start(by, Options{Orphans: true}, nil); err != nil || result.Reaped.Blobs != 1 || result.Reaped.Bytes != 60_000 || result.Orphans == nil {
		t.Errorf("%+v, %v", result, err)
	}
	if h.has(t, old) || !h.has(t, young) {
		t.Errorf("old is there: %v, young: %v", h.has(t, old), h.has(t, young))
	}
}

func TestCollector_looks_for_what_the_index_does_not_know(t *testing.T) {
	h := build(t)
	content := "nobody knows me"
	d := digest.FromString(content)
	if _, err := h.blobs.Append(t.Context(), "upload", 0, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := h.blobs.Commit(t.Context(), "upload", d); err != nil {
		t.Fatal(err)
	}
	h.ahead.Store(int64(48 * time.Hour))
	found := 0
	sums, err := New(h.reg).Plan(t.Context(), Options{Orphans: true}, func(f registry.Fate) {
		if f.Digest == d && f.Goes {
			found++
		}
	})
	if err != nil || found != 1 || sums.Orphans == nil || sums.Orphans.Blobs != 1 || sums.Orphans.Bytes != int64(len(content)) {
		t.Errorf("%d, %+v, %v", found, sums, err)
	}
}

func TestCollector_ends(t *testing.T) {
	h := build(t)
	for _, text := range []string{"one", "two", "three"} {
		h.push(t, text)
	}
	c := New(h.reg)
	told := 0
	ctx, leave := context.WithCancel(t.Context())
	if _, err := c.Plan(ctx, Options{}, func(registry.Fate) { told++; leave() }); !errors.Is(err, context.Canceled) || told != 1 {
		t.Errorf("a plan whose reader has left ends with %v, %d told", err, told)
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	c.Run(ctx)
	if _, err := c.Start(t.Context(), Options{}, nil); !errors.Is(err, follow.ErrStopped) {
		t.Errorf("%v", err)
	}
}
