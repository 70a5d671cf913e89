package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"iter"

	"github.com/entrepot/entrepot/storage/kv"
)

// A batch of writes has up to batchRows rows, and ends with the one that takes it over batchBytes.
const (
	batchRows  = 1024
	batchBytes = 2 << 20
)

// walks is how often a source that changes is copied anew.
const walks = 3

var errChanging = errors.New("the source's index changes while it is copied; stop its server, or make it read-only, and run the same again")

// walk goes once through all rows of a source, in the order of their keys.
type walk func(ctx context.Context) iter.Seq2[kv.Pair, error]

// walkOf is the walk through an index.
func walkOf(index kv.View) walk {
	return func(ctx context.Context) iter.Seq2[kv.Pair, error] { return index.Scan(ctx, "", "") }
}

// sum is the number of rows and the sum over them.
type sum struct {
	rows int64
	hash string
}

// summing makes a sum.
type summing struct {
	rows int64
	hash hash.Hash
	last string
}

func newSumming() *summing { return &summing{hash: sha256.New()} }

// add adds a row, which must come behind the last one.
func (s *summing) add(pair kv.Pair) error {
	if s.rows > 0 && pair.Key <= s.last {
		return fmt.Errorf("row %.80q comes behind %.80q; rows come in the order of their keys", pair.Key, s.last)
	}
	s.rows, s.last = s.rows+1, pair.Key
	for _, part := range [][]byte{[]byte(pair.Key), pair.Value} {
		_, _ = s.hash.Write(binary.AppendUvarint(nil, uint64(len(part))))
		_, _ = s.hash.Write(part)
	}
	return nil
}

func (s *summing) sum() sum { return sum{s.rows, hex.EncodeToString(s.hash.Sum(nil))} }

// sumOf goes through all rows but the mark.
func sumOf(ctx context.Context, rows walk, tell func(rows int64)) (sum, error) {
	s := newSumming()
	for pair, err := range rows(ctx) {
		if err == nil && pair.Key != keyMark {
			err = s.add(pair)
		}
		if err != nil {
			return sum{}, err
		}
		tell(s.rows)
	}
	return s.sum(), nil
}

// copyRows makes the target's rows those of the source, and returns their sum.
func copyRows(ctx context.Context, from walk, to kv.DB, own mark, tell func(rows int64)) (sum, error) {
	for range walks {
		first, err := merge(ctx, from, to, own, tell)
		if err != nil {
			return sum{}, fmt.Errorf("copy the index: %w", err)
		}
		second, err := sumOf(ctx, from, tell)
		if err != nil {
			return sum{}, fmt.Errorf("read the source's index again: %w", err)
		}
		there, err := sumOf(ctx, walkOf(to), tell)
		if err != nil {
			return sum{}, fmt.Errorf("read the target's index again: %w", err)
		}
		if first == second && second == there {
			return there, nil
		}
		if first == second {
			return sum{}, fmt.Errorf("the target's index has %d rows with the sum %s, and the source's %d with %s; somebody else writes to it", there.rows, there.hash, second.rows, second.hash)
		}
	}
	return sum{}, errChanging
}

// merging is one walk along both indexes.
type merging struct {
	ctx   context.Context
	to    kv.DB
	own   mark
	batch []kv.Pair // a nil value: to be removed
	bytes int
}

// merge goes along both indexes, and writes and removes what differs. It returns the sum of what the source was seen to be.
func merge(ctx context.Context, from walk, to kv.DB, own mark, tell func(rows int64)) (sum, error) {
	m := &merging{ctx: ctx, to: to, own: own}
	next, stop := iter.Pull2(to.Scan(ctx, "", ""))
	defer stop()
	has, err, more := next()
	s := newSumming()
	for pair, scanErr := range from(ctx) {
		if scanErr != nil {
			return sum{}, scanErr
		}
		if pair.Key == keyMark {
			continue
		}
		if err := s.add(pair); err != nil {
			return sum{}, err
		}
		tell(s.rows)
		for err == nil && more && has.Key < pair.Key {
			if err = m.remove(has.Key); err == nil {
				has, err, more = next()
			}
		}
		if err != nil {
			return sum{}, err
		}
		if more && has.Key == pair.Key {
			same := bytes.Equal(has.Value, pair.Value)
			if has, err, more = next(); same {
				continue
			}
		}
		if err := m.put(pair); err != nil {
			return sum{}, err
		}
	}
	for err == nil && more {
		if err = m.remove(has.Key); err == nil {
			has, err, more = next()
		}
	}
	if err == nil {
		err = m.flush()
	}
	return s.sum(), err
}

func (m *merging) remove(key string) error {
	if key == keyMark {
		return nil
	}
	return m.write(kv.Pair{Key: key})
}

func (m *merging) put(pair kv.Pair) error {
	if pair.Value == nil {
		pair.Value = []byte{}
	}
	return m.write(pair)
}

func (m *merging) write(pair kv.Pair) error {
	m.batch = append(m.batch, pair)
	if m.bytes += len(pair.Key) + len(pair.Value); len(m.batch) < batchRows && m.bytes < batchBytes {
		return nil
	}
	return m.flush()
}

func (m *merging) flush() error {
	if len(m.batch) == 0 {
		return nil
	}
	err := m.to.Update(m.ctx, func(tx kv.Tx) error {
		if err := m.own.hold(m.ctx, tx); err != nil {
			return err
		}
		for _, pair := range m.batch {
			if pair.Value == nil {
				tx.Delete(pair.Key)
			} else {
				tx.Put(pair.Key, pair.Value)
			}
		}
		return nil
	})
	m.batch, m.bytes = nil, 0
	return err
}
