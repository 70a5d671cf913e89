//go:build backends

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
	"github.com/entrepot/entrepot/storage/kv/postgres"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

// replicas is two DBs on one index, each call to another.
type replicas struct {
	dbs   [2]*postgres.DB
	calls atomic.Int64
}

func (r *replicas) next() *postgres.DB { return r.dbs[r.calls.Add(1)%2] }

func (r *replicas) Get(ctx context.Context, key string) ([]byte, error) {
	return r.next().Get(ctx, key)
}
func (r *replicas) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return r.next().Scan(ctx, from, to)
}
func (r *replicas) Update(ctx context.Context, fn func(kv.Tx) error) error {
	return r.next().Update(ctx, fn)
}
func (r *replicas) Size() int64  { return r.next().Size() }
func (r *replicas) Close() error { return errors.Join(r.dbs[0].Close(), r.dbs[1].Close()) }

// testReplicas passes the contract across two processes' worth of connections, linearizability included.
func testReplicas(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	n := 0
	kvtest.Run(t, func(t testing.TB) kv.DB {
		n++
		config := postgres.Config{URL: url, Table: fmt.Sprintf("index_%d", n)}
		return &replicas{dbs: [2]*postgres.DB{open(t, config), open(t, config)}}
	})
}

// testReplicasThatStartTogether all find or make the same tables, once.
func testReplicasThatStartTogether(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			db, err := postgres.Open(t.Context(), postgres.Config{URL: url})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			defer func() { _ = db.Close() }()
			if err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Put(fmt.Sprint(i), nil); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := ask(t, url, "select count(*) from entrepot_version"); n != 1 {
		t.Errorf("%d migrations were applied, want 1", n)
	}
	if n := ask(t, url, "select count(*) from entrepot"); n != 8 {
		t.Errorf("%d writes are there, want 8", n)
	}
}

// ask runs SQL that returns a number.
func ask(t testing.TB, url, sql string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(context.Background(), sql).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// sessions counts those of DBs that the server has in the database of url.
func sessions(t testing.TB, url, where string) int {
	t.Helper()
	return ask(t, url, "select count(*) from pg_stat_activity where application_name = 'entrepot' and datname = current_database() and ("+where+")")
}
