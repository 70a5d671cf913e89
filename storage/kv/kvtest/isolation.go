package kvtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// number returns the number under key, 0 if there is none.
func number(v kv.View, key string) (int, error) {
	value, err := v.Get(context.Background(), key)
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(value))
}

func putNumber(tx kv.Tx, key string, n int) { tx.Put(key, strconv.AppendInt(nil, int64(n), 10)) }

// together runs do n times at once and waits.
func together(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

func increments(t *testing.T, db kv.DB) {
	const writers, each = 8, 40
	together(writers, func(int) {
		for range each {
			if err := db.Update(t.Context(), func(tx kv.Tx) error {
				n, err := number(tx, "counter")
				putNumber(tx, "counter", n+1)
				return err
			}); err != nil {
				t.Errorf("update: %v", err)
			}
		}
	})
	want(t, db, "counter", fmt.Sprint(writers*each))
}

func transfers(t *testing.T, db kv.DB) {
	const accounts, start, writers, each = 5, 100, 4, 50
	name := func(i int) string { return fmt.Sprintf("account/%d", i%accounts) }
	update(t, db, func(tx kv.Tx) error {
		for i := range accounts {
			putNumber(tx, name(i), start)
		}
		return nil
	})
	audit := func() {
		sums := [2]int{}
		update(t, db, func(tx kv.Tx) error {
			sums = [2]int{}
			for i := range accounts {
				n, err := number(tx, name(i))
				if err != nil {
					return err
				}
				sums[0] += n
			}
			for p, err := range tx.Scan(t.Context(), "account/", "account0") {
				if err != nil {
					return err
				}
				n, _ := strconv.Atoi(string(p.Value))
				sums[1] += n
			}
			return nil
		})
		if sums != [2]int{accounts * start, accounts * start} {
			t.Errorf("the accounts sum up to %v, want %d twice", sums, accounts*start)
		}
	}
	var writing atomic.Int32
	writing.Store(writers)
	together(writers+2, func(i int) {
		if i >= writers {
			for writing.Load() > 0 {
				audit()
			}
			return
		}
		defer writing.Add(-1)
		for j := range each {
			if err := db.Update(t.Context(), func(tx kv.Tx) error {
				from, err := number(tx, name(i+j))
				if err != nil {
					return err
				}
				to, err := number(tx, name(i+2*j+1))
				if err != nil || name(i+j) == name(i+2*j+1) {
					return err
				}
				putNumber(tx, name(i+j), from-j)
				putNumber(tx, name(i+2*j+1), to+j)
				return nil
			}); err != nil {
				t.Errorf("update: %v", err)
			}
		}
	})
	audit()
}

// writeSkew lets two transactions each read both of two keys and write one. In any order of whole transactions only one may find both free.
func writeSkew(t *testing.T, db kv.DB) {
	for round := range 50 {
		key := func(i int) string { return fmt.Sprintf("%d/%d", round, i) }
		together(2, func(i int) {
			if err := db.Update(t.Context(), func(tx kv.Tx) error {
				mine, err := number(tx, key(i))
				if err != nil {
					return err
				}
				other, err := number(tx, key(1-i))
				if err == nil && mine+other == 0 {
					putNumber(tx, key(i), 1)
				}
				return err
			}); err != nil {
				t.Errorf("update: %v", err)
			}
		})
		first, err1 := number(db, key(0))
		second, err2 := number(db, key(1))
		if first+second != 1 || err1 != nil || err2 != nil {
			t.Fatalf("round %d: %d and %d were taken (%v, %v)", round, first, second, err1, err2)
		}
	}
}

// phantoms lets transactions count what lies under a prefix and add to it: each must find another number.
func phantoms(t *testing.T, db kv.DB) {
	const writers, each = 6, 20
	together(writers, func(i int) {
		for j := range each {
			if err := db.Update(t.Context(), func(tx kv.Tx) error {
				n := 0
				for _, err := range tx.Scan(t.Context(), "p/", "p0") {
					if err != nil {
						return err
					}
					n++
				}
				putNumber(tx, fmt.Sprintf("p/%d/%d", i, j), n)
				return nil
			}); err != nil {
				t.Errorf("update: %v", err)
			}
		}
	})
	seen := map[string]bool{}
	for p, err := range db.Scan(t.Context(), "p/", "p0") {
		if err != nil || seen[string(p.Value)] {
			t.Fatalf("%s: two transactions counted %s (%v)", p.Key, p.Value, err)
		}
		seen[string(p.Value)] = true
	}
	if len(seen) != writers*each {
		t.Errorf("%d transactions left their mark, want %d", len(seen), writers*each)
	}
}

func dirtyReads(t *testing.T, db kv.DB) {
	put(t, db, "a", "committed")
	for _, outcome := range []error{errRefused, nil} {
		written, read := make(chan struct{}, 16), make(chan struct{})
		done := make(chan error, 1)
		go func() {
			done <- db.Update(context.Background(), func(tx kv.Tx) error {
				tx.Put("a", []byte("pending"))
				tx.Put("b", []byte("pending"))
				written <- struct{}{}
				select {
				case <-read:
				case <-time.After(patience):
					t.Error("a reader waited for a writer")
				}
				return outcome
			})
		}()
		<-written
		want(t, db, "a", "committed")
		wantNone(t, db, "b")
		wantScan(t, db, "", "", "a", "committed")
		close(read)
		if err := <-done; !errors.Is(err, outcome) {
			t.Errorf("update: %v, want %v", err, outcome)
		}
	}
	wantScan(t, db, "", "", "a", "pending", "b", "pending")
}

// wholeCommits writes one number under many keys, upwards, so that whoever reads them in the other order must never see it sink.
func wholeCommits(t *testing.T, db kv.DB) {
	const keys = 6
	var writing atomic.Bool
	writing.Store(true)
	together(3, func(i int) {
		if i == 0 {
			defer writing.Store(false)
			for n := 1; n <= 60; n++ {
				update(t, db, func(tx kv.Tx) error {
					for k := range keys {
						putNumber(tx, fmt.Sprintf("n/%d", k), n)
					}
					return nil
				})
			}
			return
		}
		for writing.Load() {
			before := 0
			for k := keys - 1; k >= 0; k-- {
				n, err := number(db, fmt.Sprintf("n/%d", k))
				if err != nil || n < before {
					t.Errorf("read %d after %d (%v)", n, before, err)
					return
				}
				before = n
			}
		}
	})
}

func manyWriters(t *testing.T, db kv.DB) {
	const writers, each = 200, 5
	together(writers, func(i int) {
		for j := range each {
			if err := db.Update(t.Context(), func(tx kv.Tx) error {
				putNumber(tx, fmt.Sprintf("w/%03d/%d", i, j), i)
				return nil
			}); err != nil {
				t.Errorf("update: %v", err)
			}
			// What was answered is seen by whoever reads next.
			want(t, db, fmt.Sprintf("w/%03d/%d", i, j), fmt.Sprint(i))
		}
	})
	n := 0
	for range db.Scan(t.Context(), "w/", "w0") {
		n++
	}
	if n != writers*each {
		t.Errorf("%d of %d writes are there", n, writers*each)
	}
}

func mixedWriters(t *testing.T, db kv.DB) {
	const writers = 96
	together(writers, func(i int) {
		defer func() {
			if reason := recover(); reason != nil && (i%4 != 2 || reason != i) {
				t.Errorf("writer %d recovered %v", i, reason)
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := db.Update(ctx, func(tx kv.Tx) error {
			putNumber(tx, fmt.Sprintf("m/%02d", i), i)
			putNumber(tx, "last", i)
			switch i % 4 {
			case 1:
				return fmt.Errorf("%w %d", errRefused, i)
			case 2:
				panic(i)
			case 3:
				cancel()
			}
			return nil
		})
		wanted := [4]error{nil, errRefused, nil, context.Canceled}[i%4]
		if !errors.Is(err, wanted) || i%4 == 1 && err.Error() != fmt.Sprintf("refused %d", i) {
			t.Errorf("writer %d: %v, want %v", i, err, wanted)
		}
	})
	for i := range writers {
		if i%4 == 0 {
			want(t, db, fmt.Sprintf("m/%02d", i), fmt.Sprint(i))
		} else {
			wantNone(t, db, fmt.Sprintf("m/%02d", i))
		}
	}
	if last, err := number(db, "last"); err != nil || last%4 != 0 {
		t.Errorf("the last write is that of %d (%v)", last, err)
	}
}
