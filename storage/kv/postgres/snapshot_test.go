//go:build backends

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/postgres"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

// fill commits n small rows.
func fill(t testing.TB, db kv.DB, n int) {
	t.Helper()
	err := db.Update(t.Context(), func(tx kv.Tx) error {
		for i := range n {
			tx.Put(fmt.Sprintf("row/%06d", i), []byte("value"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// testSnapshotWhoseConnectionIsLost cuts it amid a scan, and kills its session in the server. What was not read is not passed over in silence, and nothing goes on
// elsewhere, not even for an fn that takes no notice.
func testSnapshotWhoseConnectionIsLost(t *testing.T, server *postgrestest.Server) {
	direct := server.Database(t)
	p, url := through(t, direct)
	db := open(t, postgres.Config{URL: url})
	defer func() { _ = db.Close() }()
	const rows = 5000
	fill(t, db, rows)
	for what, lose := range map[string]func(){
		"cut": p.cut,
		"ended by the server": func() {
			ask(t, direct, "select count(pg_terminate_backend(pid)) from pg_stat_activity where state = 'idle in transaction' and datname = current_database()")
		},
	} {
		t.Run(what, func(t *testing.T) {
			seen := 0
			var told, again error
			err := db.Snapshot(t.Context(), func(view kv.View) error {
				for _, err := range view.Scan(t.Context(), "", "") {
					if told = err; err != nil {
						break
					}
					if seen++; seen == 100 {
						lose()
					}
				}
				_, again = view.Get(t.Context(), "row/000000")
				return nil
			})
			if told == nil || seen >= rows {
				t.Errorf("the scan yielded %d of %d rows and ended with %v, want an error amid them", seen, rows, told)
			}
			if !errors.Is(again, kv.ErrUnavailable) {
				t.Errorf("a read afterwards: %v, want that it is unavailable", again)
			}
			if !errors.Is(err, kv.ErrUnavailable) {
				t.Errorf("the snapshot: %v, want that it is unavailable", err)
			}
		})
	}
	seen := 0
	err := db.Snapshot(t.Context(), func(view kv.View) error {
		for _, err := range view.Scan(t.Context(), "", "") {
			if err != nil {
				return err
			}
			seen++
		}
		return nil
	})
	if err != nil || seen != rows {
		t.Errorf("the next one: %d rows, %v; want %d", seen, err, rows)
	}
}

// testSnapshotsLeaveThePoolToOthers: with the one connection of the pool, readers and writers go on beside a snapshot, and neither sees the other.
func testSnapshotsLeaveThePoolToOthers(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	db := open(t, postgres.Config{URL: url, MaxConns: 1, Timeout: 5 * time.Second})
	defer func() { _ = db.Close() }()
	put(t, db, "a", "1")
	var kept kv.View
	err := db.Snapshot(t.Context(), func(view kv.View) error {
		kept = view
		want(t, view, "a", "1")
		put(t, db, "a", "2")
		put(t, db, "b", "2")
		want(t, db, "a", "2")
		want(t, view, "a", "1")
		if _, err := view.Get(t.Context(), "b"); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("a key that came later: %v, want %v", err, kv.ErrNotFound)
		}
		if n := sessions(t, url, "state = 'idle in transaction'"); n != 1 {
			t.Errorf("%d transactions are open, want one", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := kept.Get(t.Context(), "a"); err == nil {
		t.Error("the view goes on behind its end")
	}
	until(t, "the end of the snapshot's session", func() bool { return sessions(t, url, "true") <= 1 })
}

func testCloseEndsASnapshot(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	db := open(t, postgres.Config{URL: url})
	fill(t, db, 10)
	closed := make(chan error, 1)
	err := db.Snapshot(t.Context(), func(view kv.View) error {
		go func() { closed <- db.Close() }()
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if _, err := view.Get(t.Context(), "row/000001"); err != nil {
				return err
			}
		}
		return errors.New("it goes on")
	})
	if !errors.Is(err, kv.ErrClosed) {
		t.Errorf("the snapshot: %v, want %v", err, kv.ErrClosed)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	// And its own ctx ends it while it waits for the server.
	db = open(t, postgres.Config{URL: url})
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	err = db.Snapshot(ctx, func(view kv.View) error {
		cancel()
		_, err := view.Get(t.Context(), "row/000001")
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("with a ctx that ends: %v, want %v", err, context.Canceled)
	}
}
