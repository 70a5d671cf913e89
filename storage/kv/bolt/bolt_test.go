package bolt_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
)

func opener(opts bolt.Options) func(t testing.TB, dir string) kv.DB {
	return func(t testing.TB, dir string) kv.DB {
		t.Helper()
		db, err := bolt.Open(filepath.Join(dir, "index", "entrepot.db"), opts)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
}

func fresh(opts bolt.Options) func(t testing.TB) kv.DB {
	return func(t testing.TB) kv.DB { return opener(opts)(t, t.TempDir()) }
}

func TestBolt(t *testing.T) {
	kvtest.Run(t, fresh(bolt.Options{}))
	kvtest.RunReopen(t, opener(bolt.Options{}))
}

func TestBolt_snapshots(t *testing.T) { kvtest.RunSnapshots(t, fresh(bolt.Options{})) }

func TestLazy(t *testing.T) {
	kvtest.Run(t, fresh(bolt.Options{Lazy: true}))
	kvtest.RunReopen(t, opener(bolt.Options{Lazy: true}))
}

// TestGoexitAmongOthers has one fn of many end the goroutine it runs on, which may be that of another's Update. Nobody may be left waiting, and
// whoever is answered without an error is there.
func TestGoexitAmongOthers(t *testing.T) {
	for range 20 {
		db := fresh(bolt.Options{Lazy: true})(t)
		var all sync.WaitGroup
		for i := range 24 {
			all.Go(func() {
				key := fmt.Sprint(i)
				err := db.Update(t.Context(), func(tx kv.Tx) error {
					if i == 12 {
						runtime.Goexit()
					}
					tx.Put(key, nil)
					return nil
				})
				if _, missing := db.Get(t.Context(), key); (err == nil) != (missing == nil) {
					t.Errorf("update %d: %v, get: %v", i, err, missing)
				}
			})
		}
		all.Wait()
		if err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Put("after", nil); return nil }); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkBolt(b *testing.B) { kvtest.Bench(b, fresh(bolt.Options{})) }

func BenchmarkLazy(b *testing.B) { kvtest.Bench(b, fresh(bolt.Options{Lazy: true})) }
