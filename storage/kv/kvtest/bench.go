package kvtest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/entrepot/entrepot/storage/kv"
)

// Bench compares drivers: single reads, writers that share syncs, a scan of 10,000 pairs. open returns an empty database.
func Bench(b *testing.B, open func(t testing.TB) kv.DB) {
	value := make([]byte, 500)
	fill := func(b *testing.B, n int) kv.DB {
		db := open(b)
		b.Cleanup(func() { _ = db.Close() })
		update(b, db, func(tx kv.Tx) error {
			for i := range n {
				tx.Put(fmt.Sprintf("man/sha256:%064d", i), value)
			}
			return nil
		})
		b.ReportAllocs()
		b.ResetTimer()
		return db
	}
	b.Run("Get", func(b *testing.B) {
		db, ctx, key := fill(b, 10_000), b.Context(), fmt.Sprintf("man/sha256:%064d", 4711)
		for b.Loop() {
			if _, err := db.Get(ctx, key); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("GetParallel", func(b *testing.B) {
		db, ctx, key := fill(b, 10_000), b.Context(), fmt.Sprintf("man/sha256:%064d", 4711)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := db.Get(ctx, key); err != nil {
					b.Error(err)
				}
			}
		})
	})
	for _, writers := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("Update/%d", writers), func(b *testing.B) {
			db, ctx := fill(b, 10_000), b.Context()
			var next atomic.Int64
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if err := db.Update(ctx, func(tx kv.Tx) error {
							key := fmt.Sprintf("tag/%064d", i*7919%1_000_003)
							if _, err := tx.Get(ctx, key); err == nil {
								return nil
							}
							tx.Put(key, value)
							return nil
						}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
	b.Run("Scan10000", func(b *testing.B) {
		db, ctx := fill(b, 10_000), b.Context()
		for b.Loop() {
			n := 0
			for _, err := range db.Scan(ctx, "", "") {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != 10_000 {
				b.Fatal(n)
			}
		}
	})
}
