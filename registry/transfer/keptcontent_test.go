package transfer

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// TestSchedule_whose_backups_can_all_be_restored: things are deleted each day, and swept long after gc.delay; each backup that is kept finds all its content all the same.
// With the last backup that needed it the content goes.
func TestSchedule_whose_backups_can_all_be_restored(t *testing.T) {
	first := inMemory()
	shelf, _ := shelfIn(t)
	w := newWatch()
	w.at.Store(time.Now().UnixNano()) // the store of content goes by this clock
	r, err := registry.Open(t.Context(), registry.Config{
		Blobs: first.blobs, Index: first.index, Uploads: kv.NewMemory(), Log: slog.New(slog.DiscardHandler), Now: w.now, KeptSince: KeptSince,
		Grace: time.Hour, Doomed: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := daily(t, first.index, shelf, w)
	most, choose := 0, seeded("kept")
	for day := range 8 {
		image := pushImage(t, r, "team/app", "latest", nil, choose)
		does(t, "a day", s, true)
		w.pass(2 * time.Hour)
		if err := r.DeleteManifest(t.Context(), "team/app", image.Digest, nil); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := r.Sweep(t.Context(), registry.SweepOptions{}); err != nil {
				t.Fatal(err)
			}
			w.pass(2 * time.Hour)
			if _, err := r.Reap(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.pass(16 * time.Hour)
		for _, name := range kept(t, shelf) {
			rc, err := shelf.Open(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			backup, err := io.ReadAll(rc)
			rc.Close()
			if err != nil {
				t.Fatal(err)
			}
			again := stores{first.blobs, kv.NewMemory()}
			if _, err := Restore(t.Context(), again.from(backup)); err != nil {
				t.Errorf("day %d, %s: %v", day, name, err)
			}
			if _, err := registry.Verify(t.Context(), again.blobs, again.index, func(problem string) { t.Errorf("day %d, %s: %s", day, name, problem) }); err != nil {
				t.Error(err)
			}
		}
		if n := len(first.contents(t)); day < 4 {
			most = max(most, n)
		} else if n > most+2 {
			t.Errorf("day %d: %d contents are kept for three backups, after at most %d: what no backup needs has to go", day, n, most)
		}
	}
}

// TestKeptSince: from before the first backup is made until it is removed.
func TestKeptSince(t *testing.T) {
	first := inMemory()
	first.furnish(t, 2, seeded("since"))
	shelf, _ := shelfIn(t)
	w := newWatch()
	s := daily(t, first.index, shelf, w)
	since := func(what string, want time.Time) {
		t.Helper()
		if got, err := KeptSince(t.Context(), first.index); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, %v; want %s", what, got, err, want)
		}
	}
	since("no backup", time.Time{})
	begun := w.now()
	if _, mine, err := s.take(t.Context(), "one"); err != nil || !mine {
		t.Fatal(mine, err)
	}
	since("one is being made", begun.Add(-skew))
	w.pass(2 * lease) // it was killed
	for day := range 5 {
		does(t, "daily", s, true)
		since("a day", w.now().Add(-min(time.Duration(day), 2)*24*time.Hour-skew))
		w.pass(24 * time.Hour)
	}
	if err := first.index.Update(t.Context(), func(tx kv.Tx) error { tx.Put(keyBackup, []byte("{nonsense")); return nil }); err != nil {
		t.Fatal(err)
	}
	if got, err := KeptSince(t.Context(), first.index); err == nil {
		t.Errorf("of a damaged row: %s, want an error", got)
	}
	does(t, "after damage", s, true)
	since("after damage", w.now().Add(-2*24*time.Hour-skew))
}
