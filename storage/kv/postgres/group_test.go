//go:build backends

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/postgres"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

// crowded is a DB with one connection, so that Updates that come at once share transactions.
func crowded(t *testing.T, server *postgrestest.Server) *postgres.DB {
	t.Helper()
	db := open(t, postgres.Config{URL: server.Database(t), MaxConns: 1})
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func number(ctx context.Context, tx kv.View, key string) (int, error) {
	value, err := tx.Get(ctx, key)
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(value))
}

var errOwn = errors.New("fn's own error")

func TestUpdates_that_share_a_transaction(t *testing.T) {
	server := postgrestest.Start(t, "fsync=off")
	t.Run("each sees those before it, and failures write nothing", func(t *testing.T) {
		db := crowded(t, server)
		const writers, each = 24, 12
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := range each {
					err := db.Update(t.Context(), func(tx kv.Tx) error {
						kv.Ahead(tx, "sum", fmt.Sprint("seen/", w), "none")
						n, err := number(t.Context(), tx, "sum")
						if err != nil {
							return err
						}
						tx.Put("sum", []byte(strconv.Itoa(n+1)))
						tx.Put(fmt.Sprintf("at/%06d", n), []byte{byte(w)})
						if i%3 == 2 {
							return errOwn
						}
						return nil
					})
					if want := i%3 == 2; errors.Is(err, errOwn) != want || err != nil && !want {
						t.Errorf("writer %d, update %d: %v", w, i, err)
					}
				}
			})
		}
		all.Wait()
		const want = writers * each * 2 / 3
		if n, err := number(t.Context(), db, "sum"); n != want || err != nil {
			t.Errorf("%d increments, %v, want %d", n, err, want)
		}
		rows := 0
		for p, err := range db.Scan(t.Context(), "at/", "at0") {
			if err != nil || p.Key != fmt.Sprintf("at/%06d", rows) {
				t.Fatalf("row %d is %s, %v: an update saw the number of another", rows, p.Key, err)
			}
			rows++
		}
		if rows != want {
			t.Errorf("%d rows, want %d", rows, want)
		}
	})
	t.Run("one that panics, ends its goroutine or leaves is in nobody's way", func(t *testing.T) {
		db := crowded(t, server)
		var all sync.WaitGroup
		for w := range 40 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				defer func() {
					if reason := recover(); (reason != nil) != (w%8 == 1) {
						t.Errorf("writer %d: recovered %v", w, reason)
					}
				}()
				err := db.Update(ctx, func(tx kv.Tx) error {
					n, err := number(ctx, tx, "sum")
					if err != nil {
						return err
					}
					tx.Put("sum", []byte(strconv.Itoa(n+1)))
					switch w % 8 {
					case 1:
						panic("fn")
					case 3:
						cancel()
					}
					return nil
				})
				if left := w%8 == 3; left != errors.Is(err, context.Canceled) || err != nil && !left {
					t.Errorf("writer %d: %v", w, err)
				}
			})
		}
		all.Wait()
		if n, err := number(t.Context(), db, "sum"); n != 30 || err != nil {
			t.Errorf("%d increments, %v, want those of the 30 that neither panicked nor left", n, err)
		}
	})
	t.Run("a Scan that goes on when its update is over gets an error", func(t *testing.T) {
		db := crowded(t, server)
		put(t, db, "a", "1")
		put(t, db, "b", "2")
		var next func() (kv.Pair, error, bool)
		err := db.Update(t.Context(), func(tx kv.Tx) error {
			var stop func()
			next, stop = iter.Pull2(tx.Scan(t.Context(), "", ""))
			t.Cleanup(stop)
			p, err, _ := next()
			if p.Key != "a" {
				t.Errorf("the first is %q", p.Key)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if p, err, _ := next(); err == nil {
			t.Errorf("got %q, want an error", p.Key)
		}
	})
	t.Run("keys are those of a scan", func(t *testing.T) {
		db := crowded(t, server)
		if err := db.Update(t.Context(), func(tx kv.Tx) error {
			for i := range 3000 {
				tx.Put(fmt.Sprintf("k/%05d", i), []byte("value"))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{"k/02500", ""} {
			var want []string
			for i := 8; i < 3000 && (to == "" || i < 2500); i++ {
				want = append(want, fmt.Sprintf("k/%05d", i))
			}
			for _, expecting := range []int{0, 1, 7, 1000, 1 << 40} {
				ctx := kv.Expecting(t.Context(), expecting)
				var keys, pairs []string
				for key, err := range kv.Keys(ctx, db, "k/00007\x00", to) {
					if err != nil {
						t.Fatal(err)
					}
					keys = append(keys, key)
				}
				for p, err := range db.Scan(ctx, "k/00007\x00", to) {
					if err != nil || string(p.Value) != "value" {
						t.Fatalf("%q: %q, %v", p.Key, p.Value, err)
					}
					pairs = append(pairs, p.Key)
				}
				if !slices.Equal(keys, want) || !slices.Equal(pairs, want) {
					t.Errorf("up to %q, expecting %d: %d keys, %d pairs, want %d", to, expecting, len(keys), len(pairs), len(want))
				}
			}
		}
	})
}
