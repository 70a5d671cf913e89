package bolt_test

import (
	"path/filepath"
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

func TestLazy(t *testing.T) {
	kvtest.Run(t, fresh(bolt.Options{Lazy: true}))
	kvtest.RunReopen(t, opener(bolt.Options{Lazy: true}))
}

func BenchmarkBolt(b *testing.B) { kvtest.Bench(b, fresh(bolt.Options{})) }

func BenchmarkLazy(b *testing.B) { kvtest.Bench(b, fresh(bolt.Options{Lazy: true})) }
