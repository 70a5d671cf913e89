package find

import (
	"context"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/storage/kv"
)

// A stream reads the keys of one term page by page. What lies close together is read in ever longer pages, and what lies far apart in pages of the
// shortest: a new page costs as much as reading about so many keys.
const (
	shortPage = 32
	longPage  = 992
)

// stream is the positions that have a term, in order.
type stream struct {
	view     kv.View
	prefix   string
	to       string
	page     []string // positions
	at       int      // what was asked for last is here or beyond
	answered int      // how often the page had what was asked for
	last     bool     // nothing follows the page
	read     *int     // counts the keys
}

func newStream(view kv.View, prefix string, read *int) *stream {
	_, to := kv.Prefix(prefix)
	return &stream{view: view, prefix: prefix, to: to, read: read}
}

// seek returns the first position at or after the one given, or "" if there is none. A later one must not be smaller.
func (s *stream) seek(ctx context.Context, position string) (string, error) {
	if !s.holds(position) {
		if s.last {
			return "", nil
		}
		if err := s.fetch(ctx, position); err != nil {
			return "", err
		}
		if len(s.page) == 0 {
			return "", nil
		}
	}
	s.answered++
	if s.page[s.at] < position { // it often is the next one, and else not far
		s.at++
		step := 1
		for s.at+step < len(s.page) && s.page[s.at+step] < position {
			s.at, step = s.at+step, step*2
		}
		n, _ := slices.BinarySearch(s.page[s.at:min(s.at+step, len(s.page))], position)
		s.at += n
	}
	return s.page[s.at], nil
}

func (s *stream) holds(position string) bool {
	return len(s.page) > 0 && s.page[len(s.page)-1] >= position
}

// fetch reads the page that begins at a position.
func (s *stream) fetch(ctx context.Context, position string) error {
	size := shortPage
	if s.answered*shortPage/2 >= len(s.page) && len(s.page) > 0 {
		size = min(2*len(s.page)+shortPage, longPage)
	}
	s.page, s.at, s.answered, s.last = s.page[:0], 0, 0, true
	for pair, err := range s.view.Scan(ctx, s.prefix+position, s.to) {
		if err != nil {
			return err
		}
		if s.page = append(s.page, pair.Key[len(s.prefix):]); len(s.page) == size {
			s.last = false
			break
		}
	}
	*s.read += len(s.page) + 1
	return nil
}

// byReach sorts those first that have fewer keys, as far as their first pages show it: those that end there, then those that come far with a page.
func byReach(a, b *stream) int {
	switch {
	case a.last && b.last:
		return len(a.page) - len(b.page)
	case a.last:
		return -1
	case b.last:
		return 1
	}
	return strings.Compare(b.page[len(b.page)-1], a.page[len(a.page)-1])
}

// union is what is in any of some streams.
type union []*stream

func (u union) seek(ctx context.Context, position string) (first string, err error) {
	for _, s := range u {
		at, err := s.seek(ctx, position)
		if err != nil {
			return "", err
		}
		if first == "" || at != "" && at < first {
			first = at
		}
	}
	return first, nil
}
