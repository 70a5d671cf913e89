package bolt_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

// What is committed while a snapshot is looked at is not in it, and does not wait for it.
func TestSnapshot_is_of_one_moment(t *testing.T) {
	db, err := bolt.Open(filepath.Join(t.TempDir(), "index.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	put := func(key, value string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		return db.Update(ctx, func(tx kv.Tx) error { tx.Put(key, []byte(value)); return nil })
	}
	if err := errors.Join(put("a", "1"), put("c", "1")); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	err = db.Snapshot(t.Context(), func(view kv.View) error {
		if err := errors.Join(put("a", "2"), put("b", "2")); err != nil {
			t.Error(err)
		}
		seen := ""
		for pair, err := range view.Scan(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			seen += pair.Key + string(pair.Value)
		}
		if seen != "a1c1" {
			t.Errorf("the snapshot shows %q, want a1c1", seen)
		}
		if _, err := view.Get(t.Context(), "b"); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("a key that came later: %v, want %v", err, kv.ErrNotFound)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("the error %v, want that of fn", err)
	}
	if value, err := db.Get(t.Context(), "a"); err != nil || string(value) != "2" {
		t.Errorf("after the snapshot a is %q, %v; want 2", value, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Snapshot(gone, func(kv.View) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	db.Close()
	if err := db.Snapshot(t.Context(), func(kv.View) error { return nil }); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("closed: %v, want %v", err, kv.ErrClosed)
	}
}
