// Package kv is an ordered map of keys to values with transactions: the floor on which the index stands.
//
//	err := db.Update(ctx, func(tx kv.Tx) error {
//		if _, err := tx.Get(ctx, "tag/a!1"); !errors.Is(err, kv.ErrNotFound) {
//			return err // nothing of what was put is kept
//		}
//		tx.Put("tag/a!1", value)
//		return nil
//	})
//
// It knows nothing of what is stored. Keys are strings in byte order; which keys exist and what they mean is declared by the rooms
// above, each in one table. This package holds the contract and the in-memory database; bbolt is in kv/bolt, the suite that every
// driver must pass in kv/kvtest.
package kv

import (
	"context"
	"errors"
	"iter"
	"time"
)

var (
	// ErrNotFound says that the key has no value.
	ErrNotFound = errors.New("key not found")
	// ErrClosed says that the database was closed.
	ErrClosed = errors.New("index is closed")
	// ErrFull says that the medium has no room. What was committed before is untouched.
	ErrFull = errors.New("no space left for the index")
	// ErrUnavailable says that the database does not answer, or that a transaction met others too often. The same may work a little later. Nothing was changed,
	// unless the driver says that it cannot know. Drivers wrap it.
	ErrUnavailable error = unavailable{}
	// ErrKey says that a transaction wrote a key that is empty or longer than MaxKey.
	ErrKey = errors.New("invalid key")
	// ErrBusy says that another process holds the database.
	ErrBusy = errors.New("index is in use by another process")
)

// unavailable has a method by which rooms above know it that do not know this one.
type unavailable struct{}

func (unavailable) Error() string { return "the index is not available" }

// RetryAfter is when it may be tried again.
func (unavailable) RetryAfter() time.Duration { return 5 * time.Second }

// MaxKey is the longest key, in bytes, that every driver takes.
const MaxKey = 1024

// Pair is one key and its value.
type Pair struct {
	Key   string
	Value []byte
}

// View reads. A ctx that has ended makes it return the ctx's error.
type View interface {
	// Get returns the value of key, which is the caller's to keep, or ErrNotFound. An empty value is a value.
	Get(ctx context.Context, key string) ([]byte, error)
	// Scan yields the pairs with from <= key < to in byte order; an empty to means no upper bound. On a DB each pair is committed
	// state, but a long scan is no snapshot: it may see or miss what is written while it runs, and it holds no lock between
	// pairs, so that its loop may call Update. In a Tx it sees the transaction's own writes. An error ends the sequence.
	Scan(ctx context.Context, from, to string) iter.Seq2[Pair, error]
}

// Tx is a transaction. Writes are buffered: they are seen by the Tx's own reads at once and by others after the commit.
type Tx interface {
	View
	// Put sets key to value. The value must not be changed afterwards. A key that is empty or longer than MaxKey makes the Update fail
	// with ErrKey, as it does in Delete.
	Put(key string, value []byte)
	// Delete removes key; an absent one is no error.
	Delete(key string)
}

// DB is a database.
type DB interface {
	View
	// Update runs fn in a serializable transaction and commits it if fn returned nil; then it is durable (it survives a power cut, unless
	// the database was opened as a lazy one). If fn returns an error nothing is written and Update returns that error. fn may run more than
	// once, so it touches nothing but its Tx (and variables it sets anew in each run), and must not call the DB. Many Updates at once share one sync.
	// A ctx that ends before the commit began makes Update return its error with nothing written.
	Update(ctx context.Context, fn func(Tx) error) error
	// Size returns the bytes the database takes on its medium, 0 if it cannot tell.
	Size() int64
	// Close waits for what is under way and lets go of the medium; from then on every call returns ErrClosed. Closing again is no error.
	Close() error
}

// Teller is an optional power of a database that several processes share: to wake each other. Whoever listens looks for changes now and then all the same, since
// what is told may be lost.
type Teller interface {
	// Notify tells everybody who listens to channel, in this process and in others. It is no part of an Update: notify after it.
	Notify(ctx context.Context, channel, payload string) error
	// Listen calls got with what is told, one call after another, until ctx ends or the database is closed; and with nothing whenever something may have been missed,
	// which is at its beginning, too.
	Listen(ctx context.Context, channel string, got func(payload string))
}

// Prefix returns the bounds with which Scan yields all keys that begin with p.
func Prefix(p string) (from, to string) {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] < 0xff {
			return p, p[:i] + string([]byte{p[i] + 1})
		}
	}
	return p, ""
}
