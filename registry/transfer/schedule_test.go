package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// watch is a clock that is set by hand.
type watch struct{ at atomic.Int64 }

func newWatch() *watch {
	w := &watch{}
	w.at.Store(noon.UnixNano())
	return w
}

func (w *watch) now() time.Time       { return time.Unix(0, w.at.Load()) }
func (w *watch) pass(d time.Duration) { w.at.Add(int64(d)) }

// shelfIn returns a new folder as a shelf.
func shelfIn(t testing.TB) (*Folder, string) {
	t.Helper()
	path := t.TempDir()
	f, err := OpenFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	return f, path
}

// daily returns a schedule of a backup each day, of which three are kept.
func daily(t testing.TB, index kv.DB, shelf Shelf, w *watch) *Schedule {
	t.Helper()
	s, err := NewSchedule(ScheduleConfig{
		Index: index, Shelf: shelf, Every: 24 * time.Hour, Keep: 3, Folder: t.TempDir(), Now: w.now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// names returns what is in a folder, hidden files too.
func names(t testing.TB, folder string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func kept(t testing.TB, shelf Shelf) []string {
	t.Helper()
	all, err := Kept(t.Context(), shelf)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// does has a schedule look, and wants it to make a backup or not.
func does(t testing.TB, what string, s *Schedule, want bool) {
	t.Helper()
	if done, err := s.Do(t.Context()); done != want || err != nil {
		t.Errorf("%s: a backup was made: %v, %v; want %v", what, done, err, want)
	}
}

// told returns the events of backups in the journal, as they stand there.
func (s stores) told(t failer) (all []string) {
	t.Helper()
	for key, row := range s.rows(t) {
		if strings.HasPrefix(key, "journal/") && strings.Contains(row, `"backup.make"`) {
			all = append(all, row)
		}
	}
	return all
}

func TestSchedule_makes_a_backup_when_one_is_due(t *testing.T) {
	first := onDisk(t, t.TempDir())
	first.furnish(t, 10, seeded("schedule"))
	shelf, _ := shelfIn(t)
	w := newWatch()
	s := daily(t, first.index, shelf, w)
	does(t, "at first", s, true)
	does(t, "at once again", s, false)
	w.pass(24*time.Hour - time.Second)
	does(t, "a second before its time", s, false)
	w.pass(time.Second)
	does(t, "at its time", s, true)
	if all := kept(t, shelf); !slices.Equal(all, []string{"entrepot-20260511T120000Z.backup", "entrepot-20260510T120000Z.backup"}) {
		t.Errorf("there are %q", all)
	}
	does(t, "another registry, after a restart", daily(t, first.index, shelf, w), false)
	w.pass(-10 * 24 * time.Hour)
	does(t, "when the clock was ahead before", s, true)
	w.pass(10 * 24 * time.Hour)
	// What is there is what was there.
	was := first.rows(t)
	open := func() (io.ReadCloser, error) { return shelf.Open(t.Context(), kept(t, shelf)[0]) }
	second := stores{first.blobs, kv.NewMemory()}
	if _, err := Restore(t.Context(), Restoration{Open: open, Index: second.index, Blobs: second.blobs}); err != nil {
		t.Fatal(err)
	}
	for key, value := range second.restoredRows(t) {
		if was[key] != value && key != keyBackup {
			t.Errorf("the backup has %q under %s, want %q", value, key, was[key])
		}
	}
	does(t, "a registry that was restored from an old one", daily(t, second.index, shelf, newWatchAt(w, 24*time.Hour)), true)
}

func newWatchAt(w *watch, later time.Duration) *watch {
	next := newWatch()
	next.at.Store(w.now().Add(later).UnixNano())
	return next
}

func TestSchedule_tells_what_it_did(t *testing.T) {
	first := inMemory()
	first.furnish(t, 3, seeded("tells"))
	shelf, _ := shelfIn(t)
	w := newWatch()
	s := daily(t, first.index, shelf, w)
	if last, failed, err := LastScheduled(t.Context(), first.index); last != nil || failed != nil || err != nil {
		t.Errorf("at first the last one is %+v, %+v, %v", last, failed, err)
	}
	does(t, "at first", s, true)
	last, failed, err := LastScheduled(t.Context(), first.index)
	if err != nil || failed != nil || last == nil || last.Name != kept(t, shelf)[0] || !last.Made.Equal(noon) || last.Rows == 0 || last.Bytes == 0 || len(last.Sum) != 64 {
		t.Errorf("the last one is %+v, %+v, %v", last, failed, err)
	}
	if made, failed, at := s.Counts(); made != 1 || failed != 0 || !at.Equal(noon) {
		t.Errorf("counted are %d, %d, %v", made, failed, at)
	}
	other := daily(t, first.index, shelf, w)
	does(t, "another", other, false)
	if made, failed, at := other.Counts(); made != 0 || failed != 0 || !at.Equal(noon) {
		t.Errorf("another registry counts %d, %d, %v; want that it knows of the last one", made, failed, at)
	}
	if told := first.told(t); len(told) != 1 || !strings.Contains(told[0], last.Name) || !strings.Contains(told[0], `"ok"`) {
		t.Errorf("the journal tells %q", told)
	}
}

// sick is a shelf on which things go wrong.
type sick struct {
	Shelf
	put    error
	change func(name string) // what is on the shelf, before it is read
	deny   error             // of opening
}

func (s *sick) Put(ctx context.Context, name string, src io.Reader) error {
	if s.put != nil {
		return s.put
	}
	err := s.Shelf.Put(ctx, name, src)
	if err == nil && s.change != nil {
		s.change(name)
	}
	return err
}

func (s *sick) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if s.deny != nil {
		return nil, s.deny
	}
	return s.Shelf.Open(ctx, name)
}

func TestSchedule_of_backups_that_fail_leaves_nothing_and_tries_again(t *testing.T) {
	damage := func(path string, do func(content []byte) []byte) func(string) {
		return func(name string) {
			content, err := os.ReadFile(filepath.Join(path, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(path, name), do(content), 0o600)
			}
			if err != nil {
				panic(err)
			}
		}
	}
	whole := func(t *testing.T) []byte {
		other := inMemory()
		other.furnish(t, 2, seeded("another"))
		b, _ := other.saved(t)
		return b
	}
	for what, make := range map[string]func(t *testing.T, path string, shelf Shelf) *sick{
		"it is not taken": func(_ *testing.T, _ string, shelf Shelf) *sick {
			return &sick{Shelf: shelf, put: errors.New("no room")}
		},
		"it is not shown": func(_ *testing.T, _ string, shelf Shelf) *sick { return &sick{Shelf: shelf, deny: fs.ErrPermission} },
		"it is cut off": func(_ *testing.T, path string, shelf Shelf) *sick {
			return &sick{Shelf: shelf, change: damage(path, func(b []byte) []byte { return b[:len(b)-1] })}
		},
		"a bit is another": func(_ *testing.T, path string, shelf Shelf) *sick {
			return &sick{Shelf: shelf, change: damage(path, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })}
		},
		"it is another": func(t *testing.T, path string, shelf Shelf) *sick {
			return &sick{Shelf: shelf, change: damage(path, func([]byte) []byte { return whole(t) })}
		},
	} {
		t.Run(what, func(t *testing.T) {
			first := inMemory()
			first.furnish(t, 5, seeded("fails"))
			folder, path := shelfIn(t)
			w := newWatch()
			shelf := make(t, path, folder)
			s := daily(t, first.index, shelf, w)
			for n := 1; n <= 3; n++ {
				if done, err := s.Do(t.Context()); done || err == nil {
					t.Fatalf("a backup was made: %v, %v; want an error", done, err)
				}
				if all := names(t, path); len(all) > 0 {
					t.Fatalf("there is %q", all)
				}
				if all := names(t, s.c.Folder); len(all) > 0 {
					t.Errorf("what was put aside is still there: %q", all)
				}
				if _, failed, err := LastScheduled(t.Context(), first.index); err != nil || failed == nil || failed.Runs != n || failed.Why == "" {
					t.Errorf("what failed is %+v, %v; want %d in a row", failed, err, n)
				}
				does(t, "right after a failure", s, false)
				w.pass(again)
			}
			if made, failed, last := s.Counts(); made != 0 || failed != 3 || !last.IsZero() {
				t.Errorf("counted are %d, %d, %v", made, failed, last)
			}
			if told := first.told(t); len(told) != 1 || !strings.Contains(told[0], "failed") {
				t.Errorf("the journal tells %q; want the first failure alone", told)
			}
			*shelf = sick{Shelf: folder}
			does(t, "when all is well", s, true)
			if last, failed, err := LastScheduled(t.Context(), first.index); err != nil || last == nil || failed != nil {
				t.Errorf("the last one is %+v, %+v, %v", last, failed, err)
			}
		})
	}
}

func TestSchedule_keeps_the_newest_and_what_is_not_its_own(t *testing.T) {
	first := inMemory()
	first.furnish(t, 3, seeded("keeps"))
	shelf, path := shelfIn(t)
	foreign := []string{"entrepot-20200101T000000Z.backup.gz", "notes.txt", "entrepot-yesterday.backup", ".entrepot-20200101T000000Z.backup", "entrepot-20209901T000000Z.backup"}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(path, name), []byte("theirs"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	folders := []string{"entrepot-20200101T000000Z.backup"} // whatever that is, it is no backup
	if err := os.Mkdir(filepath.Join(path, folders[0]), 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWatch()
	s := daily(t, first.index, shelf, w)
	for range 5 {
		does(t, "daily", s, true)
		w.pass(24 * time.Hour)
	}
	want := []string{"entrepot-20260514T120000Z.backup", "entrepot-20260513T120000Z.backup", "entrepot-20260512T120000Z.backup"}
	if all := kept(t, shelf); !slices.Equal(all, want) {
		t.Errorf("kept are %q, want %q", all, want)
	}
	all := names(t, path)
	for _, name := range append(foreign, folders...) {
		if !slices.Contains(all, name) {
			t.Errorf("%s is gone", name)
		}
	}
	if len(all) != len(foreign)+len(folders)+len(want) {
		t.Errorf("there is %q", all)
	}
	// A clock that goes back: the one that was just made stays, old as it seems.
	w.pass(-100 * 24 * time.Hour)
	does(t, "a clock that goes back", s, true)
	if all := kept(t, shelf); len(all) != 4 || all[3] != nameOf(w.now()) {
		t.Errorf("kept are %q, want %s too", all, nameOf(w.now()))
	}
}

func TestSchedule_makes_one_if_the_last_is_not_where_backups_are_kept_now(t *testing.T) {
	first := inMemory()
	first.furnish(t, 3, seeded("moved"))
	old, _ := shelfIn(t)
	fresh, _ := shelfIn(t)
	w := newWatch()
	does(t, "at first", daily(t, first.index, old, w), true)
	w.pass(time.Hour)
	s := daily(t, first.index, fresh, w)
	does(t, "in another folder", s, true)
	does(t, "once more", s, false)
}

// meeting is a shelf on which a backup waits for somebody who looks.
type meeting struct {
	Shelf
	arrived, proceed chan struct{}
}

func (m *meeting) Put(ctx context.Context, name string, src io.Reader) error {
	m.arrived <- struct{}{}
	select {
	case <-m.proceed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return m.Shelf.Put(ctx, name, src)
}

func TestSchedule_of_several_registries_makes_one(t *testing.T) {
	first := inMemory()
	first.furnish(t, 3, seeded("several"))
	folder, path := shelfIn(t)
	w := newWatch()
	shelf := &meeting{folder, make(chan struct{}), make(chan struct{})}
	slow := daily(t, first.index, shelf, w)
	ended := make(chan error, 1)
	go func() {
		_, err := slow.Do(t.Context())
		ended <- err
	}()
	<-shelf.arrived
	other := daily(t, first.index, folder, w)
	does(t, "while another is at it", other, false)
	w.pass(lease + time.Second)
	does(t, "when that one has not said for long that it is", other, true)
	close(shelf.proceed)
	// It learns so at the latest when it writes down what it did, and says nothing of it.
	if err := <-ended; err != nil {
		t.Logf("the one that was too slow: %v", err)
	}
	last, _, err := LastScheduled(t.Context(), first.index)
	if err != nil || last == nil || !last.Made.Equal(w.now()) {
		t.Errorf("the last one is %+v, %v; want that of the one that took over", last, err)
	}
	for _, name := range names(t, path) {
		rc, err := folder.Open(t.Context(), name)
		if err == nil {
			_, err = ReadBackup(t.Context(), rc, nil, nil)
			rc.Close()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Many at once, through several times that are due.
	for n := range 4 {
		w.pass(24 * time.Hour)
		var made atomic.Int64
		var all sync.WaitGroup
		for range 6 {
			s := daily(t, first.index, folder, w)
			all.Go(func() {
				if done, err := s.Do(context.Background()); err != nil {
					t.Error(err)
				} else if done {
					made.Add(1)
				}
			})
		}
		if all.Wait(); made.Load() != 1 {
			t.Errorf("in round %d there were %d made, want one", n, made.Load())
		}
	}
}

func TestSchedule_that_is_told_to_stop_leaves_nothing(t *testing.T) {
	first := inMemory()
	first.furnish(t, 3, seeded("stop"))
	folder, path := shelfIn(t)
	w := newWatch()
	shelf := &meeting{folder, make(chan struct{}), make(chan struct{})}
	s := daily(t, first.index, shelf, w)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	<-shelf.arrived
	stop()
	<-ended
	if all := append(names(t, path), names(t, s.c.Folder)...); len(all) > 0 {
		t.Errorf("there is %q", all)
	}
	if last, failed, err := LastScheduled(t.Context(), first.index); last != nil || failed != nil || err != nil {
		t.Errorf("what is known is %+v, %+v, %v; want nothing, since nothing failed", last, failed, err)
	}
	does(t, "the next one, at once", daily(t, first.index, folder, w), true)
}

func TestSchedule_wants_what_it_needs(t *testing.T) {
	shelf, path := shelfIn(t)
	if _, err := NewSchedule(ScheduleConfig{Index: plainDB{kv.NewMemory()}, Shelf: shelf, Every: time.Hour}); !errors.Is(err, ErrElsewhere) {
		t.Errorf("an index without snapshots: %v, want %v", err, ErrElsewhere)
	}
	for _, c := range []ScheduleConfig{{Every: 0}, {Every: -time.Hour}, {Every: time.Hour, Keep: -1}} {
		c.Index, c.Shelf = kv.NewMemory(), shelf
		if _, err := NewSchedule(c); err == nil {
			t.Errorf("every %v, of which %d are kept, is taken", c.Every, c.Keep)
		}
	}
	file := filepath.Join(path, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{file, filepath.Join(path, "nowhere")} {
		if _, err := OpenFolder(wrong); err == nil {
			t.Errorf("%s is taken for a folder", wrong)
		}
	}
}

// A row that nobody can read does not end all backups.
func TestSchedule_with_a_row_that_is_damaged(t *testing.T) {
	for _, row := range []string{"", "{", `{"run":"x","until":99999999999999}`, `{"last":{"made":"2999-01-01T00:00:00Z"}}`, `{"failed":{"at":"2999-01-01T00:00:00Z"}}`} {
		first := inMemory()
		first.furnish(t, 1, seeded("row"))
		if err := first.index.Update(t.Context(), func(tx kv.Tx) error { tx.Put(keyBackup, []byte(row)); return nil }); err != nil {
			t.Fatal(err)
		}
		shelf, _ := shelfIn(t)
		does(t, fmt.Sprintf("with the row %q", row), daily(t, first.index, shelf, newWatch()), true)
	}
}

// shelfPromises is what every shelf keeps.
func shelfPromises(t *testing.T, shelf Shelf) {
	t.Helper()
	const name, other = "entrepot-20260510T120000Z.backup", "entrepot-20260511T120000Z.backup"
	read := func(name string) (string, error) {
		rc, err := shelf.Open(t.Context(), name)
		if err != nil {
			return "", err
		}
		defer rc.Close()
		b, err := io.ReadAll(rc)
		return string(b), err
	}
	if err := shelf.Put(t.Context(), name, strings.NewReader("whole")); err != nil {
		t.Fatal(err)
	}
	if err := shelf.Put(t.Context(), name, strings.NewReader("another")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that is taken: %v, want %v", err, fs.ErrExist)
	}
	if text, err := read(name); text != "whole" || err != nil {
		t.Errorf("there is %q, %v; want what was put", text, err)
	}
	broken := errors.New("it broke")
	if err := shelf.Put(t.Context(), other, io.MultiReader(strings.NewReader("half"), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("a source that fails: %v, want %v", err, broken)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := shelf.Put(gone, other, strings.NewReader("whole")); !errors.Is(err, context.Canceled) {
		t.Errorf("with a ctx that has ended: %v", err)
	}
	if _, err := read(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what failed: %v, want %v", err, fs.ErrNotExist)
	}
	if all := kept(t, shelf); !slices.Equal(all, []string{name}) {
		t.Errorf("there are %q, want %s alone", all, name)
	}
	for _, bad := range []string{"", "..", "../" + name, "/etc/passwd", "a/" + name} {
		_, opened := shelf.Open(t.Context(), bad)
		if shelf.Put(t.Context(), bad, strings.NewReader("x")) == nil || opened == nil || shelf.Delete(t.Context(), bad) == nil {
			t.Errorf("the name %q is taken for one", bad)
		}
	}
	for range 2 {
		if err := shelf.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	if all := kept(t, shelf); len(all) > 0 {
		t.Errorf("there are %q", all)
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

func TestFolder_is_a_shelf(t *testing.T) {
	shelf, path := shelfIn(t)
	shelfPromises(t, shelf)
	if all := names(t, path); len(all) > 0 {
		t.Errorf("there is %q", all)
	}
	var _ iter.Seq2[string, error] = shelf.List(t.Context())
}

func TestFolder_removes_what_killed_processes_left(t *testing.T) {
	shelf, path := shelfIn(t)
	files := map[string]time.Duration{ // by age
		".entrepot-20260510T120000Z.backup.123.part": 2 * draftAge,
		".entrepot-20260510T120000Z.backup.124.part": 0,
		".entrepot-20260510T120000Z.backup.part":     2 * draftAge,
		"entrepot-20260510T120000Z.backup.123.part":  2 * draftAge,
	}
	for name, age := range files {
		file := filepath.Join(path, name)
		if err := os.WriteFile(file, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := shelf.Put(t.Context(), nameOf(noon), strings.NewReader("whole")); err != nil {
		t.Fatal(err)
	}
	delete(files, ".entrepot-20260510T120000Z.backup.123.part")
	want := append(slices.Collect(maps.Keys(files)), nameOf(noon))
	slices.Sort(want)
	if all := names(t, path); !slices.Equal(all, want) {
		t.Errorf("there is %q, want %q", all, want)
	}
	if info, err := os.Stat(filepath.Join(path, nameOf(noon))); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want that nobody else can read it", info, err)
	}
}
