package kvtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/storage/kv"
)

// RunReopen tests what outlives a Close. open opens the database that lies in dir, which is empty at first.
func RunReopen(t *testing.T, open func(t testing.TB, dir string) kv.DB) {
	t.Run("what was committed is there again", func(t *testing.T) {
		dir := t.TempDir()
		large := strings.Repeat("x", 1<<20)
		for round := range 5 {
			db := open(t, dir)
			for before := range round {
				want(t, db, fmt.Sprintf("round/%d", before), fmt.Sprint(before))
				wantNone(t, db, fmt.Sprintf("gone/%d", before))
			}
			if round > 0 {
				want(t, db, "large", large)
				want(t, db, "empty", "")
			}
			put(t, db, fmt.Sprintf("round/%d", round), fmt.Sprint(round), fmt.Sprintf("gone/%d", round), "", "large", large, "empty", "")
			update(t, db, func(tx kv.Tx) error { tx.Delete(fmt.Sprintf("gone/%d", round)); return nil })
			if err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Put("refused", nil); return errRefused }); err == nil {
				t.Error("update swallowed fn's error")
			}
			if err := db.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
		}
		db := open(t, dir)
		wantNone(t, db, "refused")
		if err := db.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	})
	t.Run("many keys, many deletions", func(t *testing.T) {
		dir := t.TempDir()
		db := open(t, dir)
		const n = 5000
		many(t, db, n)
		update(t, db, func(tx kv.Tx) error {
			for i := range n {
				if i%10 != 0 {
					tx.Delete(fmt.Sprintf("k/%06d", i))
				}
			}
			return nil
		})
		if err := db.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		db = open(t, dir)
		left := 0
		for p, err := range db.Scan(t.Context(), "", "") {
			if err != nil || p.Key != fmt.Sprintf("k/%06d", 10*left) {
				t.Fatalf("pair %d is %q (%v)", left, p.Key, err)
			}
			left++
		}
		if left != n/10 {
			t.Errorf("%d keys are left, want %d", left, n/10)
		}
		if err := db.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	})
}
