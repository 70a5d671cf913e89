package registry

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/journal"
)

// RestoreAction is the action of the journal's event that tells that an index was restored from a backup.
//
// The index then goes on behind the backup, while the content beside it may be of later days, and among it the journal's segments that were saved since. They tell of
// what came of the former index, which nobody sees any more: another history, with the same beginning. It ends where the former index was given up; the one that goes
// on has this event behind the lines that both share. By that they are told apart when an index is built from content, long as the other one may be.
const RestoreAction = "index.restore"

// segment is what is known of a segment of the journal.
type segment struct {
	d        digest.Digest
	from, to uint64    // its first line, and the one behind its last
	prev     string    // the hash of the line before
	last     string    // the hash of its last line
	newest   time.Time // when the newest of its events happened
	restored time.Time // when an index was last restored, as it tells; zero: it does not
}

// summarize returns what there is to know of a segment with these lines.
func summarize(d digest.Digest, lines []journal.Line) segment {
	first, last := lines[0], lines[len(lines)-1]
	// The lines share the memory of the whole segment.
	s := segment{d: d, from: first.Seq, to: last.Seq + 1, prev: strings.Clone(first.Prev), last: strings.Clone(last.Hash)}
	for _, l := range lines {
		s.newest = later(s.newest, l.Event.Time)
		if l.Event.Action == RestoreAction {
			s.restored = later(s.restored, l.Event.Time)
		}
	}
	return s
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// spot is a place between two lines of a history: which line comes, and the hash of the one before. Whatever begins at a spot has everything before it in common.
type spot struct {
	seq  uint64
	hash string
}

func (s segment) begin() spot { return spot{s.from, s.prev} }
func (s segment) end() spot   { return spot{s.to, s.last} }

// origin is the spot before the first line.
var origin = spot{1, strings.Repeat("0", 64)}

// course is a way to go on from a spot to the end of a history.
type course struct {
	first    segment
	next     *course   // behind first; nil: nothing
	to       uint64    // the line behind its last one
	newest   time.Time // as in segment, of all of it
	restored time.Time
}

// on returns the course of a segment and what goes on behind it, which may be nothing.
func (s segment) on(next *course) *course {
	c := &course{first: s, next: next, to: s.to, newest: s.newest, restored: s.restored}
	if next != nil {
		c.to, c.newest, c.restored = next.to, later(c.newest, next.newest), later(c.restored, next.restored)
	}
	return c
}

// beats tells whether a course counts more than another from the same spot, if there is another.
func (c *course) beats(other *course) bool {
	return other == nil || cmp.Or(c.restored.Compare(other.restored), c.newest.Compare(other.newest), cmp.Compare(c.to, other.to)) > 0
}

// histories are those of which there are segments.
type histories struct {
	segments []segment // in the order of their first lines
	ways     map[spot][]segment
	chosen   []segment // the history that counts, in its order
	newest   time.Time // of its events
	restored time.Time // as it tells
}

// newHistories chooses the history that counts: the one that tells of the latest restoration, and among those that tell of the same one that was written to last. Of
// an open segment there may be older copies: the longest one holds them all.
func newHistories(segments []segment) *histories {
	h := &histories{segments: segments, ways: map[spot][]segment{}}
	slices.SortFunc(h.segments, func(a, b segment) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.d, b.d)) })
	best := map[spot]*course{}
	for _, s := range slices.Backward(h.segments) { // so that how to go on behind each is known
		h.ways[s.begin()] = append(h.ways[s.begin()], s)
		if c := s.on(best[s.end()]); c.beats(best[s.begin()]) {
			best[s.begin()] = c
		}
	}
	if c := best[origin]; c != nil {
		h.newest, h.restored = c.newest, c.restored
	}
	for c := best[origin]; c != nil; c = c.next {
		h.chosen = append(h.chosen, c.first)
	}
	return h
}

// rivals returns the segments that begin where a chosen one does, with these lines, and go on otherwise, without a restoration that explains it.
func (h *histories) rivals(chosen segment, lines []journal.Line) (others []segment) {
	for _, s := range h.ways[chosen.begin()] {
		same := s.to <= chosen.to && lines[s.to-1-chosen.from].Hash == s.last // an older copy
		if !same && !h.restored.After(s.restored) {
			others = append(others, s)
		}
	}
	return others
}

// gap returns the first segment that would go on behind the chosen history, whose next line is given, if what lies between were there; nil: there is none. Those that
// are older than the last restoration are what is left of a history that was given up.
func (h *histories) gap(next uint64) *segment {
	reached := map[spot]bool{origin: true}
	for i, s := range h.segments {
		if reached[s.begin()] {
			reached[s.end()] = true
			continue
		}
		if s.newest.After(h.newest) || s.to > next && !h.restored.After(s.newest) {
			return &h.segments[i]
		}
	}
	return nil
}
