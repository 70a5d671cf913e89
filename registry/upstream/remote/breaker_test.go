package remote

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

func TestBreaker_opens_probes_and_closes(t *testing.T) {
	up, now := upstreamtest.New(t), newClock()
	up.PushImage(repo, "1", 10)
	up.Fault(upstreamtest.Always(upstreamtest.Status(502)))
	r := open(t, up, clocked(now))
	ask := func() error {
		_, err := r.Head(t.Context(), repo, "1")
		return err
	}
	asked := 0
	wantAsked := func(more int) {
		t.Helper()
		if asked += more; len(up.Requests()) != asked {
			t.Fatalf("%d requests, want %d", len(up.Requests()), asked)
		}
	}
	for range 3 {
		if !r.Healthy() {
			t.Fatal("not healthy before three failures")
		}
		wantKind(t, ask(), ErrDown)
	}
	wantAsked(3)
	e := wantKind(t, ask(), ErrDown)
	if e.Status != 0 || e.RetryAfter != 10*time.Second {
		t.Errorf("left alone: %+v", e)
	}
	wantText(t, e, "left alone", "it answered 502")
	wantAsked(0)
	if h := r.Health()[0]; r.Healthy() || !h.Open || h.Failures != 3 || h.URL != up.URL || !h.Until.Equal(now.Now().Add(10*time.Second)) {
		t.Errorf("health is %+v", h)
	}
	for _, pause := range []time.Duration{10, 20, 40, 80, 160, 300, 300} { // seconds
		now.Pass(pause*time.Second - 1)
		wantKind(t, ask(), ErrDown)
		wantAsked(0)
		now.Pass(1)
		if !r.Healthy() {
			t.Error("half open is worth a try")
		}
		wantKind(t, ask(), ErrDown)
		wantAsked(1)
	}
	now.Pass(5 * time.Minute)
	up.Fault(nil)
	for range 2 {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	wantAsked(2)
	if h := r.Health()[0]; h.Open || h.Failures != 0 || h.Reason != "" {
		t.Errorf("well again: %+v", h)
	}
	up.Fault(upstreamtest.Always(upstreamtest.Status(502)))
	for range 4 {
		_ = ask()
	}
	wantAsked(3)
	if h := r.Health()[0]; !h.Until.Equal(now.Now().Add(10 * time.Second)) {
		t.Errorf("the cooldown begins anew after a good answer: %v", h.Until.Sub(now.Now()))
	}
}

func TestBreaker_lets_one_probe_through(t *testing.T) {
	up, now := upstreamtest.New(t), newClock()
	up.PushImage(repo, "1", 10)
	up.Fault(upstreamtest.Always(upstreamtest.NoAnswer()))
	r := open(t, up, clocked(now))
	for range 3 {
		_, _ = r.Head(t.Context(), repo, "1")
	}
	now.Pass(10 * time.Second)
	up.Forget()
	up.Fault(upstreamtest.Always(upstreamtest.HangBeforeHeaders()))
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { _, _ = r.Head(ctx, repo, "1") })
	eventually(t, "the probe has come", func() bool { return len(up.Requests()) == 1 })
	for range 5 {
		_, err := r.Head(t.Context(), repo, "1")
		wantText(t, err, "left alone")
	}
	wantCount(t, up, 1, "HEAD", "")
	cancel() // the probe's caller goes: the next one probes
	all.Wait()
	up.Fault(nil)
	if _, err := r.Head(t.Context(), repo, "1"); err != nil {
		t.Error(err)
	}
}

func TestBreaker_opens_for_bodies_that_break_off(t *testing.T) {
	up := upstreamtest.New(t)
	image := up.PushImage(repo, "1", 10_000)
	up.Fault(upstreamtest.Always(upstreamtest.TruncateAt(5), "blobs"))
	r := open(t, up, clocked(newClock()))
	for range 3 {
		_, _, err := pull(t, r, image, 0, 0)
		wantKind(t, err, ErrDown)
	}
	if r.Healthy() {
		t.Error("three blobs broke off, and it is taken for healthy")
	}
	steady := open(t, up)
	for i := range 9 {
		up.Fault(upstreamtest.Always(upstreamtest.TruncateAt(5), "blobs"))
		if i%3 == 2 {
			up.Fault(nil)
		}
		_, _, _ = pull(t, steady, image, 0, 0)
	}
	if h := steady.Health()[0]; h.Failures != 0 || h.Open {
		t.Errorf("every third blob came to its end, and still: %+v", h)
	}
}

func TestBreaker_learns_from_callers_that_wait_long(t *testing.T) {
	up := upstreamtest.New(t)
	up.Fault(upstreamtest.Always(upstreamtest.HangBeforeHeaders()))
	r := open(t, up, with(Timeouts{Header: 300 * time.Millisecond}), clocked(newClock()))
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		_, err := r.Head(ctx, repo, "1")
		wantKind(t, err, ErrDown)
		cancel()
	}
	if r.Healthy() {
		t.Error("nobody got an answer, and it is taken for healthy")
	}
}

func TestBreaker_is_not_moved_by_refusals(t *testing.T) {
	for _, fault := range []upstreamtest.Fault{upstreamtest.Status(404), upstreamtest.Status(403), upstreamtest.TooMany(0),
		upstreamtest.Always401(), upstreamtest.Gzip()} {
		up := upstreamtest.New(t)
		up.PushImage(repo, "1", 10)
		up.Fault(upstreamtest.Always(fault))
		r := open(t, up)
		for range 5 {
			if _, _, err := r.Manifest(t.Context(), repo, "1"); err == nil {
				t.Error("no error")
			}
		}
		if h := r.Health()[0]; h.Open || h.Failures > 0 {
			t.Errorf("%+v", h)
		}
	}
}

func TestBreaker_late_failures_do_not_prolong_it(t *testing.T) {
	b, now := breaker{limits: Breaker{Failures: 2, Cooldown: 10, Longest: 100}}, time.Now()
	b.fails(now, false, "")
	if pause := b.fails(now, false, ""); pause != 10 {
		t.Fatalf("it is left alone for %v", pause)
	}
	for range 5 { // they were under way already
		if pause := b.fails(now, false, ""); pause != 0 || !b.until.Equal(now.Add(10)) {
			t.Fatalf("prolonged by %v", pause)
		}
	}
	if ok, probe, _ := b.allow(now.Add(10)); !ok || !probe {
		t.Fatal("no probe")
	}
	b.abandons(false) // somebody else's
	if ok, _, _ := b.allow(now.Add(10)); ok {
		t.Error("two probes")
	}
	b.answers(now)
	if b.fails(now, false, "") != 20 {
		t.Error("the answer on trial had no good end, and it is not left alone at once")
	}
}

func TestURLs_are_tried_in_order(t *testing.T) {
	first, second, third := upstreamtest.New(t), upstreamtest.New(t), upstreamtest.New(t)
	for _, up := range []*upstreamtest.Upstream{first, second, third} {
		up.PutBlob(repo, []byte("blob"))
		up.PutManifest(repo, "1", "application/vnd.oci.image.manifest.v1+json", []byte("{}"))
	}
	r := open(t, first, urls(first.URL, second.URL, third.URL), clocked(newClock()))
	wantAsked := func(counts ...int) {
		t.Helper()
		for i, up := range []*upstreamtest.Upstream{first, second, third} {
			if n := len(up.Requests()); n != counts[i] {
				t.Errorf("URL %d was asked %d times, want %d", i+1, n, counts[i])
			}
			up.Forget()
		}
	}
	ask := func() error {
		_, err := r.Head(t.Context(), repo, "1")
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	wantAsked(1, 0, 0)
	for _, fault := range []upstreamtest.Fault{upstreamtest.Status(404), upstreamtest.TooMany(time.Second), upstreamtest.Status(403)} {
		first.Fault(upstreamtest.Always(fault))
		if ask() == nil {
			t.Error("an answer is an answer")
		}
		wantAsked(1, 0, 0)
	}
	first.Fault(upstreamtest.Always(upstreamtest.Status(500)))
	second.Fault(upstreamtest.Always(upstreamtest.NoAnswer()))
	for range 3 {
		wantKind(t, ask(), ErrDown)
	}
	wantAsked(3, 3, 0) // two are enough for one answer
	if err := ask(); err != nil || !r.Healthy() {
		t.Errorf("the third is there: %v", err)
	}
	wantAsked(0, 0, 1)
	third.Close()
	for range 5 {
		wantKind(t, ask(), ErrDown)
	}
	if r.Healthy() {
		t.Error("healthy though no URL answers")
	}
}
