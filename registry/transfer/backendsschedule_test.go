//go:build backends

package transfer

import (
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

func TestBucket_is_a_shelf(t *testing.T) {
	shelfPromises(t, bucketOf(t, s3test.Start(t)).(*s3.Store).Backups())
}

// Registries over one database and one bucket make a backup together, to the bucket, and a new database is built from it.
func TestSchedule_in_a_bucket_and_from_postgresql(t *testing.T) {
	buckets, databases := s3test.Start(t), postgrestest.Start(t, "fsync=off")
	blobs := bucketOf(t, buckets)
	first := stores{blobs, databaseOf(t, databases)}
	first.furnish(t, 15, seeded("bucket"))
	var shelf Shelf = blobs.(*s3.Store).Backups()
	w := newWatch()
	for range 5 {
		var made atomic.Int64
		var all sync.WaitGroup
		for range 3 {
			s := daily(t, first.index, shelf, w)
			all.Go(func() {
				done, err := s.Do(context.Background())
				if err != nil {
					t.Error(err)
				}
				if done {
					made.Add(1)
				}
			})
		}
		if all.Wait(); made.Load() != 1 {
			t.Errorf("%d were made, want one", made.Load())
		}
		w.pass(24 * time.Hour)
	}
	names := kept(t, shelf)
	if len(names) != 3 || names[0] != nameOf(noon.Add(4*24*time.Hour)) {
		t.Fatalf("there are %q, want the newest three", names)
	}
	was := first.rows(t)
	second := stores{blobs, databaseOf(t, databases)}
	open := func() (io.ReadCloser, error) { return shelf.Open(t.Context(), names[0]) }
	if _, err := Restore(t.Context(), Restoration{Open: open, Index: second.index, Blobs: blobs}); err != nil {
		t.Fatal(err)
	}
	is := second.restoredRows(t)
	for key, value := range was {
		// The last backup cannot know of its own end.
		if is[key] != value && key != keyBackup && !(strings.HasPrefix(key, "journal/new/") && strings.Contains(value, nameOf(noon.Add(4*24*time.Hour)))) {
			t.Errorf("the index has %q under %s, want %q", is[key], key, value)
		}
	}
	second.furnish(t, 3, seeded("goes on"))
	// A shelf that cannot be reached is told of, and nobody waits for it for ever.
	broken := daily(t, first.index, &sick{Shelf: shelf, deny: kv.ErrUnavailable}, w)
	if done, err := broken.Do(t.Context()); done || err == nil {
		t.Errorf("a bucket that shows nothing: %v, %v; want an error", done, err)
	}
	if all := kept(t, shelf); len(all) != 3 {
		t.Errorf("there are %q, want that the one that could not be read is gone", all)
	}
}
