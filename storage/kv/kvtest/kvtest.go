// Package kvtest is the contract of kv.DB as tests: every promise that package kv writes down is a subtest here, and every driver must
// pass them all.
//
//	func TestContract(t *testing.T) {
//		kvtest.Run(t, func(t testing.TB) kv.DB { return kv.NewMemory() })
//	}
//
// It also holds a database that fails on command ([Faulty]) for the tests of the rooms above, and benchmarks that compare drivers.
package kvtest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// patience is how long a test waits for what must happen before it says that it does not.
const patience = 30 * time.Second

// Run tests the contract. open returns an empty database; Run closes it.
func Run(t *testing.T, open func(t testing.TB) kv.DB) {
	for _, c := range []struct {
		promise string
		test    func(*testing.T, kv.DB)
	}{
		{"get what was put", getPut},
		{"put overwrites", overwrite},
		{"delete removes", remove},
		{"an empty value is a value", emptyValue},
		{"values are bytes of any kind", binaryValues},
		{"values of 1 MiB", largeValues},
		{"a value is its reader's to keep", ownValues},
		{"keys of up to MaxKey bytes", longKeys},
		{"keys beyond are refused", badKeys},
		{"size is told", size},

		{"scan is in byte order", scanOrder},
		{"scan keeps its bounds", scanBounds},
		{"scan of a prefix", scanPrefix},
		{"scan may be left early", scanBreak},
		{"scan of many pages", scanPages},
		{"scan of large values", scanLarge},
		{"scan loop may update", scanUpdate},
		{"scan twice", scanTwice},

		{"a transaction reads its own writes", ownWrites},
		{"a transaction scans its own writes", ownScan},
		{"a transaction writes while it scans", ownScanWrites},
		{"an error of fn leaves nothing", fnError},
		{"a panic of fn leaves nothing", fnPanic},
		{"the end of fn's goroutine leaves nothing", fnGoexit},
		{"a transaction that only reads", readOnly},
		{"a ctx that has ended", ctxEnded},
		{"a ctx that ends in fn", ctxEndsInFn},
		{"a ctx that ends in the queue", ctxEndsInQueue},
		{"a closed database says so", closed},

		{"increments are not lost", increments},
		{"invariants hold for every transaction", transfers},
		{"no write skew", writeSkew},
		{"no phantoms", phantoms},
		{"no dirty reads", dirtyReads},
		{"commits appear whole", wholeCommits},
		{"many writers at once", manyWriters},
		{"good and bad writers at once", mixedWriters},
		{"single keys are linearizable", linearizable},
		{"behaves like a map", model},
	} {
		t.Run(c.promise, func(t *testing.T) {
			db := open(t)
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.test(t, db)
		})
	}
}

// put commits pairs of keys and values.
func put(t testing.TB, db kv.DB, pairs ...string) {
	t.Helper()
	update(t, db, func(tx kv.Tx) error {
		for pair := range slices.Chunk(pairs, 2) {
			tx.Put(pair[0], []byte(pair[1]))
		}
		return nil
	})
}

func update(t testing.TB, db kv.DB, fn func(kv.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

// want checks that key has value.
func want(t testing.TB, v kv.View, key, value string) {
	t.Helper()
	switch got, err := v.Get(context.Background(), key); {
	case err != nil:
		t.Errorf("get %.40q: %v, want %.40q", key, err, value)
	case got == nil:
		t.Errorf("get %.40q: a nil value, want %.40q", key, value)
	case string(got) != value:
		t.Errorf("get %.40q: %.40q (%d bytes), want %.40q (%d bytes)", key, got, len(got), value, len(value))
	}
}

// wantNone checks that key has no value.
func wantNone(t testing.TB, v kv.View, key string) {
	t.Helper()
	if got, err := v.Get(context.Background(), key); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("get %.40q: %.40q, %v, want ErrNotFound", key, got, err)
	}
}

// wantScan checks what a scan yields: keys and values, one after another.
func wantScan(t testing.TB, v kv.View, from, to string, pairs ...string) {
	t.Helper()
	got := []string{}
	for p, err := range v.Scan(context.Background(), from, to) {
		if err != nil {
			t.Errorf("scan from %q to %q: %v", from, to, err)
			return
		}
		got = append(got, p.Key, string(p.Value))
	}
	if !slices.Equal(got, pairs) {
		t.Errorf("scan from %q to %q: %q, want %q", from, to, got, pairs)
	}
}
