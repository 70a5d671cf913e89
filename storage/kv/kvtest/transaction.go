package kvtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

func ownWrites(t *testing.T, db kv.DB) {
	put(t, db, "old", "1", "gone", "2", "kept", "3")
	update(t, db, func(tx kv.Tx) error {
		want(t, tx, "old", "1")
		tx.Put("old", []byte("new"))
		want(t, tx, "old", "new")
		tx.Delete("gone")
		wantNone(t, tx, "gone")
		wantNone(t, tx, "fresh")
		tx.Put("fresh", []byte("4"))
		want(t, tx, "fresh", "4")
		tx.Delete("fresh")
		wantNone(t, tx, "fresh")
		tx.Put("fresh", []byte("5"))
		tx.Put("gone", []byte("back"))
		want(t, tx, "gone", "back")
		tx.Delete("gone")
		want(t, tx, "kept", "3")
		return nil
	})
	wantScan(t, db, "", "", "fresh", "5", "kept", "3", "old", "new")
}

func ownScan(t *testing.T, db kv.DB) {
	put(t, db, "b", "1", "d", "2", "f", "3", "h", "4")
	update(t, db, func(tx kv.Tx) error {
		wantScan(t, tx, "", "", "b", "1", "d", "2", "f", "3", "h", "4")
		tx.Put("a", []byte("A")) // before all
		tx.Delete("b")           // the first
		tx.Put("d", []byte("D")) // over one
		tx.Put("e", []byte("E")) // between
		tx.Delete("h")           // the last
		tx.Delete("absent")
		tx.Put("x", []byte("X")) // behind all
		tx.Put("y", []byte("Y"))
		tx.Delete("y")
		wantScan(t, tx, "", "", "a", "A", "d", "D", "e", "E", "f", "3", "x", "X")
		wantScan(t, tx, "b", "f", "d", "D", "e", "E")
		wantScan(t, tx, "e", "e\x00", "e", "E")
		wantScan(t, tx, "g", "x")
		wantScan(t, tx, "g", "", "x", "X")
		wantScan(t, tx, "a", "b", "a", "A")
		return nil
	})
	wantScan(t, db, "", "", "a", "A", "d", "D", "e", "E", "f", "3", "x", "X")
}

func ownScanWrites(t *testing.T, db kv.DB) {
	put(t, db, "a", "1", "c", "2", "e", "3")
	update(t, db, func(tx kv.Tx) error {
		var seen string
		for p, err := range tx.Scan(t.Context(), "", "z") {
			if err != nil {
				t.Errorf("scan: %v", err)
			}
			seen += p.Key
			switch p.Key {
			case "a":
				tx.Delete("a")
				tx.Put("A", nil) // behind: not seen
				tx.Put("b", nil) // ahead: seen
				tx.Put("c", []byte("C"))
			case "c":
				if string(p.Value) != "C" {
					t.Errorf("c is %q in its scan, want C", p.Value)
				}
				tx.Delete("e") // ahead: not seen
				tx.Put("f", nil)
			}
		}
		if seen != "abcf" {
			t.Errorf("scan saw %q, want abcf", seen)
		}
		return nil
	})
	wantScan(t, db, "", "", "A", "", "b", "", "c", "C", "f", "")
}

var errRefused = errors.New("refused")

func fnError(t *testing.T, db kv.DB) {
	put(t, db, "a", "1", "b", "2")
	err := db.Update(t.Context(), func(tx kv.Tx) error {
		tx.Put("a", []byte("changed"))
		tx.Delete("b")
		tx.Put("c", []byte("new"))
		return fmt.Errorf("wrapped: %w", errRefused)
	})
	if !errors.Is(err, errRefused) || err.Error() != "wrapped: refused" {
		t.Errorf("update returned %v, want fn's own error", err)
	}
	wantScan(t, db, "", "", "a", "1", "b", "2")
	put(t, db, "d", "4")
	wantScan(t, db, "", "", "a", "1", "b", "2", "d", "4")
}

func fnPanic(t *testing.T, db kv.DB) {
	put(t, db, "a", "1")
	for range 3 {
		func() {
			defer func() {
				if reason := recover(); reason != "on purpose" {
					t.Errorf("update's caller recovered %v, want what fn panicked with", reason)
				}
			}()
			_ = db.Update(t.Context(), func(tx kv.Tx) error {
				tx.Put("a", []byte("changed"))
				tx.Put("b", []byte("new"))
				panic("on purpose")
			})
			t.Error("update returned although fn panicked")
		}()
	}
	wantScan(t, db, "", "", "a", "1")
	put(t, db, "c", "3")
	wantScan(t, db, "", "", "a", "1", "c", "3")
}

func fnGoexit(t *testing.T, db kv.DB) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = db.Update(t.Context(), func(tx kv.Tx) error {
			tx.Put("a", []byte("1"))
			runtime.Goexit()
			return nil
		})
	}()
	<-ended
	wantNone(t, db, "a")
	put(t, db, "b", "2")
	wantScan(t, db, "", "", "b", "2")
}

func readOnly(t *testing.T, db kv.DB) {
	put(t, db, "a", "1")
	var got []byte
	update(t, db, func(tx kv.Tx) (err error) {
		got, err = tx.Get(t.Context(), "a")
		return err
	})
	if string(got) != "1" {
		t.Errorf("got %q", got)
	}
	err := db.Update(t.Context(), func(tx kv.Tx) error {
		_, err := tx.Get(t.Context(), "b")
		return err
	})
	if !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("update returned %v, want ErrNotFound", err)
	}
}

func ctxEnded(t *testing.T, db kv.DB) {
	put(t, db, "a", "1")
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := db.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v, want context.Canceled", err)
	}
	pairs := 0
	for _, err := range db.Scan(ctx, "", "") {
		if pairs++; !errors.Is(err, context.Canceled) {
			t.Errorf("scan: %v, want context.Canceled", err)
		}
	}
	if pairs != 1 {
		t.Errorf("scan yielded %d times, want its error once", pairs)
	}
	err := db.Update(ctx, func(tx kv.Tx) error { tx.Put("b", nil); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("update: %v, want context.Canceled", err)
	}
	wantScan(t, db, "", "", "a", "1")

	// A scan notices it under way too.
	many(t, db, 5000)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var last error
	for _, last = range db.Scan(ctx, "k/", "") {
		stop()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("a long scan ended with %v, want context.Canceled", last)
	}
}

func ctxEndsInFn(t *testing.T, db kv.DB) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := db.Update(ctx, func(tx kv.Tx) error {
		tx.Put("a", []byte("1"))
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("update: %v, want context.Canceled", err)
	}
	wantNone(t, db, "a")
}

// ctxEndsInQueue holds one transaction open while the ctx of another, which may have to wait for it, ends.
func ctxEndsInQueue(t *testing.T, db kv.DB) {
	began, release, first := make(chan struct{}, 16), make(chan struct{}), make(chan error, 1)
	go func() {
		first <- db.Update(context.Background(), func(tx kv.Tx) error {
			began <- struct{}{}
			<-release
			tx.Put("first", nil)
			return nil
		})
	}()
	<-began
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		second <- db.Update(ctx, func(tx kv.Tx) error {
			<-ctx.Done() // if it need not wait for the first, it waits here
			tx.Put("second", nil)
			return nil
		})
	}()
	time.Sleep(20 * time.Millisecond)
	cancel()
	time.Sleep(20 * time.Millisecond)
	close(release)
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("the second: %v, want context.Canceled", err)
	}
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
	wantScan(t, db, "", "", "first", "")
	put(t, db, "third", "")
}

func closed(t *testing.T, db kv.DB) {
	put(t, db, "a", "1")
	for range 2 {
		if err := db.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		if _, err := db.Get(t.Context(), "a"); !errors.Is(err, kv.ErrClosed) {
			t.Errorf("get: %v, want ErrClosed", err)
		}
		for _, err := range db.Scan(t.Context(), "", "") {
			if !errors.Is(err, kv.ErrClosed) {
				t.Errorf("scan: %v, want ErrClosed", err)
			}
		}
		err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Put("b", nil); return nil })
		if !errors.Is(err, kv.ErrClosed) {
			t.Errorf("update: %v, want ErrClosed", err)
		}
		db.Size()
	}
}
