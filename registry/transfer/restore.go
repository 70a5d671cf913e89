package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// Restoration says what is made of a backup.
type Restoration struct {
	// Open opens the backup, which is read several times.
	Open func() (io.ReadCloser, error)
	// Index is empty, or the unfinished one of the same backup.
	Index kv.DB
	// Blobs is where the content is.
	Blobs blob.Reader
	// Incomplete takes the index for whole if content is missing.
	Incomplete bool

	Tell  func(Progress) // as in Config
	Found func(problem string)
	Now   func() time.Time
}

// Restored is what Restore did.
type Restored struct {
	Summary
	Missing int64 // contents that are not there, or have another size
}

// Restore builds a new index from a backup and looks up everything that it needs. The whole backup is checked before anything is written. The rows are those of the
// backup, and an event in the journal that tells of the restoration. Unless Incomplete is set,
// an index that misses content stays marked, and ErrIncomplete is returned: put the content in its place and run it again.
func Restore(ctx context.Context, r Restoration) (done Restored, err error) {
	c := Config{Tell: r.Tell, Found: r.Found, Now: r.Now}.complete()
	f, err := r.Open()
	if err != nil {
		return done, err
	}
	done.Summary, err = ReadBackup(ctx, f, nil, nil)
	f.Close()
	if err != nil {
		return done, fmt.Errorf("read the backup: %w", err)
	}
	own, err := begin(ctx, r.Index, fmt.Sprintf("the backup of %s with the sum %s", done.Made.UTC().Format(time.RFC3339), done.Sum), c.Now())
	if err != nil {
		return done, err
	}
	all, err := copyRows(ctx, walkOfBackup(r.Open), r.Index, own, c.rows())
	if err == nil && all.rows != done.Rows {
		err = fmt.Errorf("the index has %d rows, and the backup %d; it was changed while it was read", all.rows, done.Rows)
	}
	if err != nil {
		return done, err
	}
	if done.Missing, err = missing(ctx, r.Index, r.Blobs, c); err != nil {
		return done, err
	}
	if done.Missing == 0 || r.Incomplete {
		if err := own.finish(ctx, r.Index, r.Blobs, done.record(ctx)); err != nil {
			return done, fmt.Errorf("finish the index: %w", err)
		}
	}
	if done.Missing > 0 {
		return done, ErrIncomplete
	}
	return done, nil
}

// record returns what writes down in the journal that the index was set back. Beside the history of what was given up, by this an index that is built from content
// some day goes the right way.
func (r Restored) record(ctx context.Context) func(kv.Tx) {
	return func(tx kv.Tx) {
		journal.Append(ctx, tx, journal.Event{Action: registry.RestoreAction, Object: "backup:" + r.Made.UTC().Format(time.RFC3339), Note: "sha256 " + r.Sum, Result: "ok"})
	}
}

// missing looks up everything that an index needs, and counts what is not there.
func missing(ctx context.Context, index kv.View, blobs blob.Reader, c Config) (n int64, err error) {
	began := c.Now()
	last, state := began, Progress{Step: stepCheck}
	for content, err := range Needed(ctx, index) {
		if err != nil {
			return n, err
		}
		info, err := blobs.Stat(ctx, content.Digest)
		switch {
		case errors.Is(err, blob.ErrNotFound) && content.Spare:
		case errors.Is(err, blob.ErrNotFound):
			n++
			c.Found(fmt.Sprintf("content %s: it is missing", content.Digest))
		case err != nil:
			return n, fmt.Errorf("look up content %s: %w", content.Digest, err)
		case content.Size >= 0 && info.Size != content.Size:
			n++
			c.Found(fmt.Sprintf("content %s: it has %d bytes instead of %d", content.Digest, info.Size, content.Size))
		default:
			state.Same.add(info.Size)
		}
		if now := c.Now(); now.Sub(last) >= tellEvery {
			last, state.Took, state.Wrong = now, now.Sub(began), n
			c.Tell(state)
		}
	}
	return n, nil
}
