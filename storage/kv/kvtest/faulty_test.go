package kvtest_test

import (
	"errors"
	"testing"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
)

func TestFaultyIsADatabase(t *testing.T) {
	kvtest.Run(t, func(testing.TB) kv.DB { return kvtest.Faulty(kv.NewMemory()) })
}

// TestFaulty counts through every point of a small piece of work.
func TestFaulty(t *testing.T) {
	broken := errors.New("broken")
	for n := 1; ; n++ {
		db := kvtest.Faulty(kv.NewMemory())
		ran := false
		work := func() error {
			if _, err := db.Get(t.Context(), "a"); !errors.Is(err, kv.ErrNotFound) { // point 1
				return err
			}
			if err := db.Update(t.Context(), func(tx kv.Tx) error { ran = true; tx.Put("a", nil); return nil }); err != nil { // 2 and 3
				return err
			}
			for _, err := range db.Scan(t.Context(), "", "") { // 4
				if err != nil {
					return err
				}
			}
			return nil
		}
		db.FailAt(n, broken)
		err := work()
		if db.Calls() < n {
			if err != nil || n != 5 {
				t.Errorf("%d points, %v", db.Calls(), err)
			}
			return
		}
		if !errors.Is(err, broken) || ran != (n > 2) {
			t.Errorf("point %d: %v, fn ran: %v", n, err, ran)
		}
		if _, err := db.Get(t.Context(), "a"); errors.Is(err, kv.ErrNotFound) != (n < 4) {
			t.Errorf("point %d: the write: %v", n, err)
		}
		db.FailAt(0, nil)
		if err := work(); err != nil && n < 4 || db.Calls() == 0 {
			t.Errorf("after point %d: %v", n, err)
		}
	}
}

func TestLate_commits_what_it_fails(t *testing.T) {
	broken := errors.New("broken")
	db := kvtest.Late(kv.NewMemory())
	put := func(key string) error {
		return db.Update(t.Context(), func(tx kv.Tx) error { tx.Put(key, nil); return nil })
	}
	db.FailAt(2, broken)
	if first, second, third := put("a"), put("b"), put("c"); first != nil || !errors.Is(second, broken) || third != nil || db.Calls() != 3 {
		t.Errorf("%v, %v, %v after %d points; want the second of three to fail", first, second, third, db.Calls())
	}
	for _, key := range []string{"a", "b", "c"} {
		if _, err := db.Get(t.Context(), key); err != nil {
			t.Errorf("%s: %v, want it kept", key, err)
		}
	}
	if err := db.Update(t.Context(), func(kv.Tx) error { return broken }); !errors.Is(err, broken) || db.Calls() != 3 {
		t.Errorf("%v after %d points; want what commits nothing to be no point", err, db.Calls())
	}
}
