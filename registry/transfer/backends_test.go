//go:build backends

package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/postgres"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

func bucketOf(t testing.TB, server *s3test.Server) blob.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), s3.Config{
		Bucket: server.Bucket(t), Endpoint: server.Endpoint, PathStyle: true, AccessKey: server.AccessKey, SecretKey: server.SecretKey,
		PartSize: 5 << 20, Memory: 64 << 20, Stall: 20 * time.Second, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func databaseOf(t testing.TB, server *postgrestest.Server) kv.DB {
	t.Helper()
	db, err := postgres.Open(context.Background(), postgres.Config{URL: server.Database(t), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestMigrate_between_all_stores(t *testing.T) {
	buckets, databases := s3test.Start(t), postgrestest.Start(t, "fsync=off")
	kinds := map[string]func(t testing.TB) stores{
		"disk and bolt":         func(t testing.TB) stores { return onDisk(t, t.TempDir()) },
		"s3 and bolt":           func(t testing.TB) stores { return stores{bucketOf(t, buckets), onDisk(t, t.TempDir()).index} },
		"disk and postgresql":   func(t testing.TB) stores { return stores{onDisk(t, t.TempDir()).blobs, databaseOf(t, databases)} },
		"s3 and postgresql":     func(t testing.TB) stores { return stores{bucketOf(t, buckets), databaseOf(t, databases)} },
		"memory, for good sake": func(testing.TB) stores { return inMemory() },
	}
	for name, make := range kinds {
		for _, back := range []string{"disk and bolt", "s3 and postgresql"} {
			t.Run(name+" to "+back, func(t *testing.T) {
				first, second, third := make(t), kinds[back](t), make(t)
				first.furnish(t, 25, seeded(name))
				large := strings.Repeat("0123456789abcdef", 6<<20/16) // of more than one part
				there := migrate(t, first.to(second))
				second.like(t, first)
				returned := migrate(t, second.to(third))
				third.like(t, first)
				if there.Sum != returned.Sum || there.Rows != returned.Rows {
					t.Errorf("there %+v, back %+v", there, returned)
				}
				d := digest.FromString(large)
				put(t, first.blobs, d, large)
				if _, err := Contents(t.Context(), first.to(second)); err != nil || read(t, second.blobs, d) != large {
					t.Errorf("content of several parts was not copied: %v", err)
				}
				third.furnish(t, 5, seeded("after"))
			})
		}
	}
}

func TestMigrate_to_s3_and_postgresql_goes_on_where_it_was_cut(t *testing.T) {
	buckets, databases := s3test.Start(t), postgrestest.Start(t, "fsync=off")
	first, second := onDisk(t, t.TempDir()), stores{bucketOf(t, buckets), databaseOf(t, databases)}
	first.furnish(t, 25, seeded("cut"))
	for wait := 2 * time.Millisecond; ; wait += wait / 3 {
		ctx, stop := context.WithTimeout(t.Context(), wait)
		_, err := Migrate(ctx, first.to(second))
		stop()
		if err == nil {
			break
		}
		if ctx.Err() == nil || wait > time.Minute {
			t.Fatalf("after %v: %v", wait, err)
		}
	}
	second.like(t, first)
}

func TestMigrate_to_s3_does_not_store_wrong_content(t *testing.T) {
	buckets := s3test.Start(t)
	first, second := inMemory(), stores{bucketOf(t, buckets), kv.NewMemory()}
	first.furnish(t, 10, seeded("wrong"))
	d := first.needed(t)[0]
	put(t, first.blobs, d, strings.Repeat("x", len(read(t, first.blobs, d))))
	problems := 0
	c := first.to(second)
	c.Found = func(string) { problems++ }
	if _, err := Migrate(t.Context(), c); !errors.Is(err, ErrIncomplete) || problems != 1 {
		t.Errorf("%v, %d problems; want %v and one", err, problems, ErrIncomplete)
	}
	if _, err := second.blobs.Stat(t.Context(), d); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("it was stored: %v", err)
	}
}

func TestRestore_to_postgresql(t *testing.T) {
	databases := postgrestest.Start(t, "fsync=off")
	first := onDisk(t, t.TempDir())
	first.furnish(t, 25, seeded("restore"))
	backup, _ := first.saved(t)
	second := stores{first.blobs, databaseOf(t, databases)}
	if _, err := Restore(t.Context(), second.from(backup)); err != nil {
		t.Fatal(err)
	}
	second.likeBackupOf(t, first)
	// And from there to a file, while it is written to.
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan struct{})
	go func() {
		defer close(written)
		for n := 0; ctx.Err() == nil; n++ {
			_ = second.index.Update(ctx, func(tx kv.Tx) error {
				tx.Put("aaa/first", []byte(fmt.Sprint(n))) // both, or neither
				tx.Put("zzz/last", []byte(fmt.Sprint(n)))
				return nil
			})
		}
	}()
	backup, _ = second.saved(t)
	stop()
	<-written
	third := stores{first.blobs, onDisk(t, t.TempDir()).index}
	if _, err := Restore(t.Context(), third.from(backup)); err != nil {
		t.Fatal(err)
	}
	rows := third.rows(t)
	if rows["aaa/first"] != rows["zzz/last"] {
		t.Errorf("a backup shows two moments: %q and %q", rows["aaa/first"], rows["zzz/last"])
	}
	for key, value := range first.rows(t) {
		if rows[key] != value {
			t.Errorf("the backup has %q under %s, want %q", rows[key], key, value)
		}
	}
}
