//go:build backends

package postgres_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
	"github.com/entrepot/entrepot/storage/kv/postgres"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

func BenchmarkPostgres(b *testing.B) {
	kvtest.Bench(b, fresh(postgrestest.Start(b).Database(b), postgres.Config{}))
}

// BenchmarkRegistry does what the registry does to its index, here and in a bolt file. p50 and p95 are those of one operation.
func BenchmarkRegistry(b *testing.B) {
	server := postgrestest.Start(b)
	url := server.Database(b)
	for name, open := range map[string]func(b *testing.B) kv.DB{
		"postgres": func(b *testing.B) kv.DB { return fresh(url, postgres.Config{})(b) },
		"lazy":     func(b *testing.B) kv.DB { return fresh(url, postgres.Config{Lazy: true})(b) },
		"bolt": func(b *testing.B) kv.DB {
			db, err := bolt.Open(filepath.Join(b.TempDir(), "index.db"), bolt.Options{})
			if err != nil {
				b.Fatal(err)
			}
			return db
		},
	} {
		for _, work := range []struct {
			name    string
			writers int
			do      func(b *testing.B, db kv.DB, i int) error
		}{
			{"Get", 1, get},
			{"Scan100", 1, scan100},
			{"Write", 1, write},
			{"Push", 1, push},
			{"Write16", 16, write},
			{"Push16", 16, push},
		} {
			b.Run(work.name+"/"+name, func(b *testing.B) {
				db := open(b)
				defer func() { _ = db.Close() }()
				if err := db.Update(b.Context(), func(tx kv.Tx) error {
					for i := range filled {
						putPush(tx, i)
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
				measure(b, work.writers, func(i int) error { return work.do(b, db, i) })
			})
		}
	}
}

// measure does b.N pieces of work, several at once, and reports how long the median and the slow ones took.
func measure(b *testing.B, workers int, do func(i int) error) {
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for range workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
				began := time.Now()
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[b.N/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[b.N*95/100].Microseconds()), "p95-µs")
}

// The index holds filled pushes, over repositories, before anything is measured.
const (
	filled       = 10_000
	repositories = 200
)

func repository(i int) string { return fmt.Sprintf("team/service-%03d", i*31%repositories) }

func digest(i int) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(fmt.Append(nil, i))) }

func get(b *testing.B, db kv.DB, i int) error {
	_, err := db.Get(b.Context(), "man/"+digest(i%filled))
	return err
}

func scan100(b *testing.B, db kv.DB, i int) error {
	seen := 0
	for _, err := range db.Scan(b.Context(), "rev/"+repository(i), "") {
		if err != nil {
			return err
		}
		if seen++; seen == 100 {
			break
		}
	}
	return nil
}

func write(b *testing.B, db kv.DB, i int) error {
	return db.Update(b.Context(), func(tx kv.Tx) error {
		tx.Put(fmt.Sprintf("upload/%s!%x", repository(i), i), make([]byte, 300))
		return nil
	})
}

// push reads and writes what a push of a manifest of three blobs does.
func push(b *testing.B, db kv.DB, i int) error {
	i += filled
	ctx, repo, d := b.Context(), repository(i), digest(i)
	return db.Update(ctx, func(tx kv.Tx) error {
		for _, key := range []string{
			"hold/" + repo + "!" + digest(0), "hold/" + repo + "!" + digest(1), "hold/" + repo + "!" + digest(i-1),
			"rev/" + repo + "!" + d, "man/" + d, "repo/" + repo, "tag/" + repo + "!" + fmt.Sprint(i),
		} {
			if _, err := tx.Get(ctx, key); err != nil && !errors.Is(err, kv.ErrNotFound) {
				return err
			}
		}
		putPush(tx, i)
		return nil
	})
}

func putPush(tx kv.Tx, i int) {
	repo, d := repository(i), digest(i)
	tx.Put("man/"+d, make([]byte, 800))
	tx.Put(fmt.Sprintf("settle/%016x!%s", i, d), []byte("man"))
	tx.Put("repo/"+repo, []byte("2026-01-01"))
	tx.Put("rev/"+repo+"!"+d, make([]byte, 200))
	tx.Put("rev/"+repo+"!"+d+"!"+fmt.Sprint(i), nil)
	for _, child := range []int{0, 1, i - 1} {
		tx.Put("edge/"+digest(child)+"!"+repo+"!"+d, nil)
		tx.Put("hold/"+repo+"!"+digest(child), make([]byte, 30))
	}
	tx.Put("tag/"+repo+"!"+fmt.Sprint(i), make([]byte, 200))
	tx.Put(fmt.Sprintf("journal/new/%016x", i), make([]byte, 300))
}
