package registry

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/journal"
)

// A push of what a tag names already makes the tag young again, and leaves it to whoever set it. No guard is asked: nothing is overwritten.
func TestPutManifest_again_renews_the_tag(t *testing.T) {
	at := &clock{}
	r := open(t, func(c *Config) { c.Now = at.now })
	body := indexOf()
	put := func(who, ref string) {
		t.Helper()
		guard := func(tag string, was Stored) error { return errors.New(tag + " is asked about") }
		if _, err := r.PutManifest(as(t.Context(), who), Put{Repo: "a", Ref: ref, Body: body, Guard: guard}); err != nil {
			t.Fatal(err)
		}
	}
	put("user:alice", "nightly")
	for _, step := range []struct {
		after  time.Duration
		events int // of the tag, so far
	}{{24 * time.Hour, 2}, {time.Second, 2}, {renewAfter, 3}} {
		at.advance(step.after)
		put("user:bob", "nightly")
		s, err := r.Stored(t.Context(), "a", "nightly")
		if err != nil || s.By != "user:alice" || at.now().Sub(s.Pushed) >= renewAfter {
			t.Errorf("%s later the tag was pushed by %s, %s ago, %v; want by user:alice, now", step.after, s.By, at.now().Sub(s.Pushed), err)
		}
		events := 0
		for l, err := range journal.New(r.index).Tail(t.Context(), 0, 100) {
			if err != nil {
				t.Fatal(err)
			}
			if l.Event.Tag == "nightly" && (strings.HasSuffix(l.Event.Action, ".push") || l.Event.From == l.Event.Digest) {
				events++
			}
		}
		if events != step.events {
			t.Errorf("%s later there are %d events of pushes, want %d", step.after, events, step.events)
		}
	}
	at.advance(time.Hour)
	before, err := r.Stored(t.Context(), "a", "nightly")
	if err != nil {
		t.Fatal(err)
	}
	put("user:bob", "other") // another tag of the same content
	if s, err := r.Stored(t.Context(), "a", "nightly"); err != nil || !s.Pushed.Equal(before.Pushed) {
		t.Errorf("a push under another tag renews it: %s, want %s; %v", s.Pushed, before.Pushed, err)
	}
}
