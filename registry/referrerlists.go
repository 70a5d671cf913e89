package registry

import (
	"container/list"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/kv"
)

// referrerLists keeps long lists of referrers in memory: a node or an admission controller asks for the list of an image at each of its starts, scans of it may have
// added to that every night for years, and a database that is far away takes its time to hand over a thousand rows.
//
// What is kept is never out of date. Each transaction that changes a list gives it a new state, a row with a value that there never was. Whoever asks for the list reads
// that row, so that what is answered is the list at that moment, whichever registry changed it last.
type referrerLists struct {
	long int // from how many referrers on a list is kept; shorter ones take one read as they are

	mu    sync.Mutex
	known map[string]*list.Element // of *referrerList, by what their keys begin with
	used  list.List                // the last used first
	bytes int
}

// referrerList is a list as it was in a state. One without rows is known to be long.
type referrerList struct {
	prefix, state string
	rows          []kv.Pair
	bytes         int
}

const (
	longReferrers    = 128
	maxReferrers     = 2 << 20  // bytes of a list that is kept
	maxReferrerLists = 16 << 20 // bytes of all that are
)

// scan yields the rows from <= key < to of the list of subject's referrers.
func (l *referrerLists) scan(ctx context.Context, index kv.DB, repo string, subject digest.Digest, from, to string) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		prefix := of(prefixRef, repo, string(subject))
		before, err := l.state(ctx, index, repo, subject, prefix)
		if err != nil {
			yield(kv.Pair{}, err)
			return
		}
		if rows := l.get(prefix, before); rows != nil {
			at, _ := slices.BinarySearchFunc(rows, from, func(p kv.Pair, from string) int { return strings.Compare(p.Key, from) })
			for _, p := range rows[at:] {
				if p.Key >= to || !yield(p, nil) {
					return
				}
			}
			return
		}
		seen := referrerList{prefix: prefix}
		for p, err := range index.Scan(ctx, from, to) {
			if !yield(p, err) || err != nil {
				return
			}
			seen.add(p)
		}
		if first, end := kv.Prefix(prefix); from != first || to != end || len(seen.rows) < l.long || seen.bytes > maxReferrers {
			return
		}
		// A scan is no snapshot. But if the list is in the same state as before, then it was all the time.
		if before != "" {
			if seen.state, err = l.state(ctx, index, repo, subject, prefix); err != nil || seen.state != before {
				return
			}
		}
		l.keep(&seen)
	}
}

// state returns the state of a list that is known to be long, "" of any other one.
func (l *referrerLists) state(ctx context.Context, index kv.DB, repo string, subject digest.Digest, prefix string) (string, error) {
	l.mu.Lock()
	known := l.known[prefix] != nil
	l.mu.Unlock()
	if !known {
		return "", nil
	}
	state, err := index.Get(ctx, keyList(repo, subject))
	if errors.Is(err, kv.ErrNotFound) {
		return "", nil
	}
	return string(state), err
}

// get returns the rows of a list in a state; nil if they are not kept.
func (l *referrerLists) get(prefix, state string) []kv.Pair {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.known[prefix]
	if e == nil || state == "" {
		return nil
	}
	l.used.MoveToFront(e)
	if was := e.Value.(*referrerList); was.state == state {
		return was.rows
	}
	return nil
}

// keep keeps a list, without its rows if its state is not known, in place of what was kept of it, and lets go of those that were not used for the longest time.
func (l *referrerLists) keep(seen *referrerList) {
	if seen.state == "" {
		seen.rows, seen.bytes = nil, 0
	}
	seen.bytes += 256 + len(seen.prefix)
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.known[seen.prefix]; e != nil {
		l.drop(e)
	}
	if l.known == nil {
		l.known = map[string]*list.Element{}
	}
	l.known[seen.prefix] = l.used.PushFront(seen)
	l.bytes += seen.bytes
	for l.bytes > maxReferrerLists {
		l.drop(l.used.Back())
	}
}

func (l *referrerLists) drop(e *list.Element) {
	was := l.used.Remove(e).(*referrerList)
	delete(l.known, was.prefix)
	l.bytes -= was.bytes
}

// add remembers a row, until there are too many.
func (s *referrerList) add(p kv.Pair) {
	s.bytes += 64 + len(p.Key) + len(p.Value)
	if s.bytes > maxReferrers {
		s.rows = nil
		return
	}
	s.rows = append(s.rows, p)
}
