package journal

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
)

// happen appends n events in transactions of their own.
func happen(t testing.TB, db kv.DB, n int) {
	t.Helper()
	ctx := By(t.Context(), Actor{Name: "user:alice", Remote: "192.0.2.7", Request: "r-1"})
	for i := range n {
		if err := db.Update(ctx, func(tx kv.Tx) error {
			Append(ctx, tx, Event{Action: "manifest.put", Repo: "a/b", Tag: fmt.Sprint("v", i), Size: int64(i)})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// seal seals all that waits.
func seal(t testing.TB, j *Journal) (sealed int) {
	t.Helper()
	for {
		n, err := j.Seal(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if sealed += n; n == 0 {
			return sealed
		}
	}
}

// sound verifies and wants no fault and so many lines.
func sound(t testing.TB, j *Journal, lines uint64) {
	t.Helper()
	if r, err := j.Verify(t.Context()); err != nil || !r.Sound() || r.Lines != lines {
		t.Errorf("verify: %+v, %v, want %d sound lines", r, err, lines)
	}
}

func tail(t testing.TB, j *Journal, after uint64, limit int) (lines []Line) {
	t.Helper()
	for line, err := range j.Tail(t.Context(), after, limit) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestAppend(t *testing.T) {
	db := kv.NewMemory()
	begin := time.Now().Add(-time.Second)
	happen(t, db, 1)
	other := By(t.Context(), Actor{Name: "robot:ci", Remote: "192.0.2.8"})
	noon := time.Date(2026, 5, 10, 14, 0, 0, 0, time.FixedZone("", 7200))
	if err := db.Update(other, func(tx kv.Tx) error {
		Append(other, tx, Event{Action: "login", Actor: "user:bob", Time: noon, Result: "<wrong> & \"odd\" \u2028 \n"})
		Append(context.Background(), tx, Event{Action: "sweep"})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(t.Context(), func(tx kv.Tx) error {
		Append(t.Context(), tx, Event{Action: "refused"})
		return errors.New("refused")
	}); err == nil {
		t.Error("update swallowed the error")
	}
	check := func(lines []Line) {
		t.Helper()
		if len(lines) != 3 {
			t.Fatalf("%d events, want 3: %+v", len(lines), lines)
		}
		put, login, sweep := lines[0].Event, lines[1].Event, lines[2].Event
		if put.Actor != "user:alice" || put.Remote != "192.0.2.7" || put.Request != "r-1" || put.Tag != "v0" || put.Time.Before(begin) ||
			put.Time.After(time.Now()) || put.Time.Location() != time.UTC {
			t.Errorf("put: %+v", put)
		}
		if login.Actor != "user:bob" || login.Remote != "192.0.2.8" || !login.Time.Equal(noon) || login.Result != "<wrong> & \"odd\" \u2028 \n" {
			t.Errorf("login: %+v", login)
		}
		if sweep.Actor != "system" || sweep.ID <= login.ID || login.ID <= put.ID {
			t.Errorf("sweep: %+v", sweep)
		}
	}
	j := New(db)
	check(tail(t, j, 0, 0))
	if n := seal(t, j); n != 3 {
		t.Errorf("%d events were sealed", n)
	}
	check(tail(t, j, 0, 0))
	sound(t, j, 3)
}

func TestIDs(t *testing.T) {
	const routines, each = 8, 2000
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]bool{}
	for range routines {
		all.Go(func() {
			last := ""
			for range each {
				id := newID(time.Now())
				if len(id) != idLength || id <= last || strings.Trim(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") != "" {
					t.Errorf("id %q after %q", id, last)
				}
				last = id
				mu.Lock()
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(seen) != routines*each {
		t.Errorf("%d different ids of %d", len(seen), routines*each)
	}
	now := time.Now().Add(time.Hour)
	first, later, back := newID(now), newID(now.Add(time.Millisecond)), newID(now.Add(-time.Hour))
	if !(first < later && later < back) {
		t.Errorf("ids do not rise: %s %s %s", first, later, back)
	}
	if first[:10] == later[:10] || later[:10] != back[:10] {
		t.Errorf("the first ten characters are not the milliseconds: %s %s %s", first, later, back)
	}
}

func TestSealInBatches(t *testing.T) {
	db := kv.NewMemory()
	j := New(db)
	const n = 2*maxSeal + 10
	happen(t, db, n)
	var batches []int
	for {
		n, err := j.Seal(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		batches = append(batches, n)
	}
	if !slices.Equal(batches, []int{maxSeal, maxSeal, 10}) {
		t.Errorf("batches of %v", batches)
	}
	for i, line := range tail(t, j, 0, 0) {
		if line.Seq != uint64(i+1) || line.Event.Tag != fmt.Sprint("v", i) {
			t.Fatalf("line %d is %+v", i, line)
		}
	}
	sound(t, j, n)
}

// TestTwoSealers lets two journals seal one database while many write to it.
func TestTwoSealers(t *testing.T) {
	db := kv.NewMemory()
	var writers, sealers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		sealers.Go(func() {
			j := New(db)
			for {
				n, err := j.Seal(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				select {
				case <-done:
					if n == 0 {
						return
					}
				default:
				}
			}
		})
	}
	for range 8 {
		writers.Go(func() { happen(t, db, 100) })
	}
	writers.Wait()
	close(done)
	sealers.Wait()
	j := New(db)
	sound(t, j, 800)
	seen := map[string]bool{}
	for _, line := range tail(t, j, 0, 0) {
		if line.Seq == 0 || seen[line.Event.ID] {
			t.Errorf("line %+v", line)
		}
		seen[line.Event.ID] = true
	}
	if len(seen) != 800 {
		t.Errorf("%d events of 800", len(seen))
	}
}

// TestCrash stops at every point between append and the end of the sealing.
func TestCrash(t *testing.T) {
	broken := errors.New("broken")
	for n := 1; ; n++ {
		db := kvtest.Faulty(kv.NewMemory())
		happen(t, db, maxSeal+5)
		db.FailAt(n, broken)
		if err := New(db).sealAll(t.Context()); db.Calls() < n {
			if err != nil || n < 5 {
				t.Errorf("sealed with %d points: %v", db.Calls(), err)
			}
			return
		} else if !errors.Is(err, broken) {
			t.Errorf("point %d: %v", n, err)
		}
		j := New(db)
		if r, err := j.Verify(t.Context()); err != nil || !r.Sound() {
			t.Errorf("point %d: %+v, %v", n, r, err)
		}
		seal(t, j)
		sound(t, j, maxSeal+5)
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entrepot.db")
	for round := range uint64(4) {
		db, err := bolt.Open(path, bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		j := New(db)
		if lines := tail(t, j, 0, 0); uint64(len(lines)) != 10*round {
			t.Errorf("round %d: %d events", round, len(lines))
		}
		seal(t, j)
		sound(t, j, 10*round)
		happen(t, db, 10)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTail(t *testing.T) {
	db := kv.NewMemory()
	j := New(db)
	happen(t, db, 10)
	seal(t, j)
	happen(t, db, 3)
	for _, c := range []struct {
		after       uint64
		limit       int
		first, last uint64
		waiting     int
	}{
		{0, 0, 1, 10, 3},
		{0, 4, 1, 4, 0},
		{7, 0, 8, 10, 3},
		{7, 3, 8, 10, 0},
		{7, 5, 8, 10, 2},
		{10, 0, 0, 0, 3},
		{10, 1, 0, 0, 1},
		{99, 0, 0, 0, 3},
	} {
		var wanted, got []uint64
		for seq := c.first; seq != 0 && seq <= c.last; seq++ {
			wanted = append(wanted, seq)
		}
		wanted = append(wanted, make([]uint64, c.waiting)...)
		for _, line := range tail(t, j, c.after, c.limit) {
			got = append(got, line.Seq)
		}
		if !slices.Equal(got, wanted) {
			t.Errorf("tail after %d, limit %d: %v, want %v", c.after, c.limit, got, wanted)
		}
	}
}

// between is a database in which something happens before every scan.
type between struct {
	kv.DB
	happen func(from string)
}

func (b between) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	b.happen(from)
	return b.DB.Scan(ctx, from, to)
}

// TestTailWhileSealing seals what Tail has seen waiting before it looks at the lines, and lets more happen.
func TestTailWhileSealing(t *testing.T) {
	db := kv.NewMemory()
	happen(t, db, 5)
	j := New(between{db, func(from string) {
		if strings.HasPrefix(from, logPrefix) {
			if _, err := New(db).Seal(t.Context()); err != nil {
				t.Error(err)
			}
			happen(t, db, 1)
		}
	}})
	for round := range 3 {
		var got []string
		for _, line := range tail(t, j, 0, 0) {
			got = append(got, fmt.Sprint(line.Seq))
		}
		if want := []string{"1", "2", "3", "4", "5", "6", "7"}[:5+round]; !slices.Equal(got, want) {
			t.Errorf("round %d: lines %v, want %v", round, got, want)
		}
	}
}

// TestFollow follows a journal while it is written and sealed: every event is seen once as a line, none is left out.
func TestFollow(t *testing.T) {
	db := kv.NewMemory()
	j := New(db)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			if _, err := j.Seal(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	const n = 500
	running.Go(func() { happen(t, db, n) })
	var after uint64
	for deadline := time.Now().Add(30 * time.Second); after < n && time.Now().Before(deadline); {
		seen := map[string]bool{}
		for _, line := range tail(t, j, after, 50) {
			if seen[line.Event.ID] {
				t.Fatalf("%s twice in one tail", line.Event.ID)
			}
			seen[line.Event.ID] = true
			if line.Seq != 0 {
				if after++; line.Seq != after || line.Event.Tag != fmt.Sprint("v", after-1) {
					t.Fatalf("line %d is %+v", after, line)
				}
			}
		}
	}
	cancel()
	running.Wait()
	if after != n {
		t.Errorf("followed %d lines of %d", after, n)
	}
}

func TestRun(t *testing.T) {
	db := kvtest.Faulty(kv.NewMemory())
	j := New(db)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		j.Run(ctx)
	}()
	happen(t, db, 5)
	db.FailAt(1, errors.New("a passing fault"))
	sealed := func() uint64 {
		h, err := readHead(t.Context(), db.DB)
		if err != nil {
			t.Fatal(err)
		}
		return h.Seq
	}
	for deadline := time.Now().Add(30 * time.Second); sealed() < 5; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was sealed")
		}
	}
	happen(t, db, maxSeal+1)
	cancel()
	<-ended
	sound(t, New(db), maxSeal+6)
}

// TestUnreadable has something among the events that Append did not write.
func TestUnreadable(t *testing.T) {
	db := kv.NewMemory()
	j := New(db)
	happen(t, db, 1)
	garbage := []string{"", "no json", "null", "17", "[]", `{"id":7}`, `{"action":"a`, "{}\n{}"}
	if err := db.Update(t.Context(), func(tx kv.Tx) error {
		for i, g := range garbage {
			tx.Put(fmt.Sprintf("%sG%d", newPrefix, i), []byte(g))
		}
		tx.Put(newPrefix+"Z", []byte("{\n  \"id\": \"Z\",\n  \"later\": \"field\"\n}"))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		lines := tail(t, j, 0, 0)
		if len(lines) != len(garbage)+2 {
			t.Fatalf("%d events", len(lines))
		}
		for i, line := range lines[1 : len(lines)-1] {
			if line.Event.Action != "journal.unreadable" || line.Event.ID != fmt.Sprint("G", i) {
				t.Errorf("%q: %+v", garbage[i], line.Event)
			}
		}
		if last := lines[len(lines)-1]; last.event != `{"id":"Z","later":"field"}` {
			t.Errorf("a field that we do not know is lost: %s", last.event)
		}
	}
	check()
	seal(t, j)
	check()
	sound(t, j, uint64(len(garbage)+2))
}

func BenchmarkAppend(b *testing.B) {
	db := kv.NewMemory()
	ctx := By(b.Context(), Actor{Name: "user:alice", Remote: "192.0.2.7", Request: "01J0000000000000"})
	tx := kv.NewBuffer(db)
	e := Event{Action: "manifest.put", Repo: "cloud/dmp/ms-ingestion", Tag: "1.0.2", Size: 1234,
		Digest: "sha256:" + strings.Repeat("a", 64), MediaType: "application/vnd.oci.image.manifest.v1+json"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%16 == 0 {
			tx = kv.NewBuffer(db)
		}
		Append(ctx, tx, e)
	}
}

func BenchmarkSeal(b *testing.B) {
	db := kv.NewMemory()
	j := New(db)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if err := db.Update(b.Context(), func(tx kv.Tx) error {
			for range maxSeal {
				Append(b.Context(), tx, Event{Action: "manifest.put", Repo: "cloud/dmp/ms-ingestion", Tag: "1.0.2", Size: 1234})
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if n, err := j.Seal(b.Context()); n != maxSeal || err != nil {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*maxSeal), "ns/event")
}
