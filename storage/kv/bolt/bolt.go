// Package bolt keeps the index in one file, by way of bbolt.
//
//	db, err := bolt.Open("/var/lib/entrepot/index.db", bolt.Options{})
//
// One process holds the file at a time. Reads run beside each other and beside a commit; writers that arrive while a commit syncs share
// the next one, so that many pay for one sync and a lone one waits for nobody. The package leaves to others what the keys mean.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/entrepot/entrepot/storage/kv"
)

// A scan copies its first firstPage pairs in one read transaction and twice as many in each further one, up to maxPage pairs or maxPageBytes:
// whoever wants only the first few does not pay for many, and no read transaction lasts long enough to be in a writer's way.
const (
	firstPage    = 32
	maxPage      = 1024
	maxPageBytes = 1 << 20
)

var bucketName = []byte("index")

// Options change how a file is opened. The zero value is right for what must not be lost.
type Options struct {
	// Lazy commits without waiting for the disk. What was committed survives the end of the process, however sudden, but not a power cut:
	// a file that was written lazily before the machine started, or that cannot be read, is emptied when it is opened.
	Lazy bool
	// Timeout is how long to wait for another process to let go of the file before ErrBusy. 0 means 200 ms.
	Timeout time.Duration
}

// DB is an index in a file.
type DB struct {
	bolt   *bbolt.DB
	file   *os.File
	queue  queue
	broken atomic.Pointer[error] // why nothing may be written any more
}

// Open opens the index at path and makes it, and the folder it lies in, if there is none. The file appears whole or not at all. Errors
// are kv.ErrBusy if another process holds the file, kv.ErrFull if there is no room to make it, or say what is wrong with it.
func Open(path string, opts Options) (*DB, error) {
	db, err := open(path, opts)
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", path, translate(err))
	}
	return db, nil
}

// Get implements kv.View.
func (db *DB) Get(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tx, err := db.bolt.Begin(false)
	if err != nil {
		return nil, translate(err)
	}
	value, err := get(tx.Bucket(bucketName), key)
	_ = tx.Rollback() // of a transaction that only read: it cannot fail
	return value, err
}

// Scan implements kv.View. It reads page by page and holds nothing between them.
func (db *DB) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		var page []kv.Pair
		for limit := firstPage; ; limit = min(2*limit, maxPage) {
			var more bool
			var err error
			if page, more, err = db.page(ctx, page[:0], from, to, limit); err != nil {
				yield(kv.Pair{}, err)
				return
			}
			for _, p := range page {
				if !yield(p, nil) {
					return
				}
			}
			if !more {
				return
			}
			from = page[len(page)-1].Key + "\x00" // the smallest key beyond
		}
	}
}

// page appends up to limit pairs to page, and tells whether there may be more.
func (db *DB) page(ctx context.Context, page []kv.Pair, from, to string, limit int) (_ []kv.Pair, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	tx, err := db.bolt.Begin(false)
	if err != nil {
		return nil, false, translate(err)
	}
	bytes := 0
	for p := range scan(tx.Bucket(bucketName), from, to) {
		page = append(page, p)
		if bytes += len(p.Key) + len(p.Value); len(page) == limit || bytes >= maxPageBytes {
			more = true
			break
		}
	}
	_ = tx.Rollback()
	return page, more, nil
}

// Size returns the size of the file in bytes. It grows in steps and never shrinks.
func (db *DB) Size() int64 {
	info, err := db.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// Close waits for the commit that is under way and lets go of the file.
func (db *DB) Close() error { return db.bolt.Close() }

// snapshot is what a transaction of the file sees.
type snapshot struct{ *bbolt.Bucket }

func (s snapshot) Get(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return get(s.Bucket, key)
}

func (s snapshot) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		for p := range scan(s.Bucket, from, to) {
			if err := ctx.Err(); err != nil {
				yield(kv.Pair{}, err)
				return
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

func get(b *bbolt.Bucket, key string) ([]byte, error) {
	value := b.Get(raw(key))
	if value == nil {
		return nil, kv.ErrNotFound
	}
	c := make([]byte, len(value))
	copy(c, value)
	return c, nil
}

func scan(b *bbolt.Bucket, from, to string) iter.Seq[kv.Pair] {
	return func(yield func(kv.Pair) bool) {
		c := b.Cursor()
		for k, v := c.Seek(raw(from)); k != nil; k, v = c.Next() {
			if to != "" && unsafe.String(unsafe.SliceData(k), len(k)) >= to || !yield(pair(k, v)) {
				return
			}
		}
	}
}

// pair copies key and value out of the file into one piece of memory. The value is its holder's to change: it ends where the piece ends,
// and the key lies before it.
func pair(k, v []byte) kv.Pair {
	c := make([]byte, len(k)+len(v))
	n := copy(c, k)
	copy(c[n:], v)
	return kv.Pair{Key: unsafe.String(unsafe.SliceData(c), n), Value: c[n:]}
}

// raw is key as bytes, without a copy: bbolt only reads what it is given, and copies the keys it keeps.
func raw(key string) []byte { return unsafe.Slice(unsafe.StringData(key), len(key)) }

// translate gives the errors of bbolt and of the system the names that callers know.
func translate(err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, bbolterrors.ErrDatabaseNotOpen):
		return kv.ErrClosed
	case errors.Is(err, bbolterrors.ErrTimeout):
		return kv.ErrBusy
	}
	for _, noRoom := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		// bbolt passes some of them on as text only.
		if errors.Is(err, noRoom) || strings.HasSuffix(err.Error(), noRoom.Error()) {
			return fmt.Errorf("%w: %w", kv.ErrFull, err)
		}
	}
	return err
}
