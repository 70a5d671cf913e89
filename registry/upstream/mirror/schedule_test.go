package mirror

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// ends waits for the run that began at or after a time, and returns what came of it.
func (h *house) ends(m *Mirrors, repo string, after time.Time) Result {
	h.t.Helper()
	var found Result
	h.await("a run of "+repo+" ends", func() bool {
		for _, s := range m.States() {
			if s.Repository == repo && s.Last != nil && s.Running == nil && !s.Last.Began.Before(after) {
				found = *s.Last
				return true
			}
		}
		return false
	})
	return found
}

// The schedule: at once, then when it is due, a while later for what failed, and never for what is run by hand.
func TestRun_keeps_the_schedule(t *testing.T) {
	byHand, other := "up.example.com/team/by-hand", "up.example.com/team/other"
	h := build(t, Entry{Repository: app, Every: 10 * time.Hour}, Entry{Repository: other, Every: 24 * time.Hour}, Entry{Repository: byHand})
	h.up.PushImage(there, "1.0", 10)
	h.up.PushImage("team/by-hand", "1.0", 10)
	began := h.clock.now()
	h.running(h.Mirrors)
	if r := h.ends(h.Mirrors, app, began); r.Failed != 0 || r.By != "system" {
		t.Errorf("%+v", r)
	}
	if r := h.ends(h.Mirrors, other, began); r.Failed != 1 {
		t.Errorf("there is no such repository, and it says %+v", r)
	}
	states := h.States()
	if s := states[1]; s.Repository != byHand || s.Last != nil || s.Next != nil || s.Every != "" {
		t.Errorf("what is run by hand: %+v", s)
	}
	if next := states[0].Next.Sub(began); next < 10*time.Hour || next >= 11*time.Hour || states[0].Every != "10h0m0s" {
		t.Errorf("it is due again after %v, want 10h to 11h", next)
	}
	if next := states[2].Next.Sub(began); next < 3*time.Hour || next > 6*time.Hour {
		t.Errorf("what failed is due again after %v, want 3h, and up to a tenth of a day more", next)
	}
	// Just before it is due nothing runs; then it does.
	h.up.Forget()
	h.clock.later(states[0].Next.Sub(began) - time.Second)
	h.ends(h.Mirrors, other, h.clock.now())
	if s := h.States()[0]; !s.Last.Began.Equal(began) {
		t.Errorf("it ran at %v, before it was due", s.Last.Began)
	}
	h.clock.later(time.Second)
	if r := h.ends(h.Mirrors, app, began.Add(10*time.Hour)); r.Fetched.Blobs != 0 {
		t.Errorf("%+v", r)
	}
}

// A restart neither forgets nor runs what is not due, unless the entry asks for something else now.
func TestNew_knows_what_came_of_the_last_run(t *testing.T) {
	entry := Entry{Repository: app, Versions: ">=1", Last: 1, Every: time.Hour}
	h := build(t, entry)
	h.up.PushImage(there, "1.0.0", 10)
	h.up.PushImage(there, "2.0.0", 10)
	r := h.start(0)
	again := h.replica(entry)
	s := again.States()[0]
	if s.Last == nil || s.Last.Tally != r.Tally || !s.Last.Began.Equal(r.Began) || s.Next == nil || !s.Next.After(h.clock.now()) {
		t.Errorf("after a restart it is %+v, and was %+v", s, r)
	}
	if again.Keeps(app, "1.0.0") || !again.Keeps(app, "2.0.0") {
		t.Error("after a restart it does not keep what it kept")
	}
	entry.Last = 2
	h.clock.later(time.Second)
	if s := h.replica(entry).States()[0]; s.Next == nil || s.Next.After(h.clock.now()) {
		t.Errorf("an entry that was changed is due at %v, want now", s.Next)
	}
}

// Two replicas make each run once, and what one of them was cut in the other goes on with.
func TestRun_shares_the_schedule(t *testing.T) {
	entry := Entry{Repository: app, Every: time.Hour}
	h := build(t, entry)
	h.up.PushImage(there, "1.0", 10)
	hang := make(chan struct{})
	h.up.Fault(func(r upstreamtest.Request) upstreamtest.Fault {
		if r.Kind == "tags" {
			<-hang
		}
		return nil
	})
	other := h.replica(entry)
	h.running(h.Mirrors)
	h.await("one runs", func() bool { return h.States()[0].Running != nil && h.up.Asked("tags") == 1 })
	for range 3 {
		other.look()
		h.await("the other one leaves it alone", func() bool { return other.States()[0].Running == nil })
	}
	if n := h.up.Asked("tags"); n != 1 {
		t.Errorf("the upstream was asked %d times", n)
	}
	// When the first is not heard of any more, the other one takes over.
	h.clock.later(lease + time.Second)
	other.look()
	h.await("the other one takes over", func() bool { return h.up.Asked("tags") == 2 })
	close(hang)
	h.ends(other, app, time.Time{})
	h.running(other)
}

// What is known of a repository that is configured no more is forgotten, and the rest is not.
func TestRun_forgets(t *testing.T) {
	gone := "up.example.com/team/gone"
	h := build(t, Entry{Repository: app, Referrers: true}, Entry{Repository: gone, Referrers: true})
	h.up.PushImage(there, "1.0", 10)
	h.up.PushImage("team/gone", "1.0", 10)
	for _, repo := range []string{app, gone} {
		if r, err := h.Start(t.Context(), repo, nil); err != nil || r.Failed > 0 {
			t.Fatal(r, err)
		}
	}
	rows := func() (found []string) {
		from, to := kv.Prefix(prefixMirror)
		for p, err := range h.index.Scan(t.Context(), from, to) {
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, p.Key)
		}
		return found
	}
	if n := len(rows()); n != 4 {
		t.Fatalf("%d rows, want 4: %q", n, rows())
	}
	h.running(h.replica(Entry{Repository: app, Referrers: true}))
	h.await("the other one is forgotten", func() bool { return !strings.Contains(strings.Join(rows(), " "), gone) })
	if n := len(rows()); n != 2 {
		t.Errorf("%d rows are left, want 2: %q", n, rows())
	}
	// Nor is it remembered for ever what was asked about a manifest that is mirrored no more.
	moved := h.up.PushImage(there, "1.0", 20)
	h.start(0)
	if all := strings.Join(rows(), " "); len(rows()) != 2 || !strings.Contains(all, string(moved.Descriptor.Digest)) {
		t.Errorf("%q", all)
	}
}

// Who started a run, and what came of it, is in the journal.
func TestStart_is_in_the_journal(t *testing.T) {
	h := build(t, Entry{Repository: app})
	h.up.PushImage(there, "1.0", 10)
	r, err := h.Start(journal.By(t.Context(), journal.Actor{Name: "user:root"}), app, nil)
	if err != nil || r.By != "user:root" {
		t.Fatalf("%+v, %v", r, err)
	}
	seen := map[string]string{}
	for l, err := range journal.New(h.index).Tail(t.Context(), 0, 100) {
		if err != nil {
			t.Fatal(err)
		}
		seen[l.Event.Action] = l.Event.Actor + " " + l.Event.Repo + " " + l.Event.Result
	}
	for _, action := range []string{"mirror.run", "manifest.fetch", "tag.fetch"} {
		if seen[action] != "user:root "+app+" ok" {
			t.Errorf("%s: %q", action, seen[action])
		}
	}
}

// An index that cannot be written: the run ends with an error, and is tried again.
func TestStart_on_an_index_that_fails(t *testing.T) {
	h := build(t, Entry{Repository: app, Every: time.Hour})
	h.up.PushImage(there, "1.0", 10)
	m := h.replica(Entry{Repository: app, Every: time.Hour})
	broken := &failing{DB: h.index, err: errors.New("no more of this")}
	m.Index = broken
	if _, err := m.Start(t.Context(), app, nil); !errors.Is(err, broken.err) {
		t.Errorf("it ends with %v, want %v", err, broken.err)
	}
	if s := m.States()[0]; s.Running != nil || s.Last != nil || s.Next == nil || s.Next.After(h.clock.now()) {
		t.Errorf("it is not due: %+v", s)
	}
}

type failing struct {
	kv.DB
	err error
}

func (f *failing) Update(context.Context, func(kv.Tx) error) error { return f.err }
