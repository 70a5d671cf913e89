package find

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/entrepot/entrepot/storage/kv"
)

// A search ends when it has read enough keys, at the next version that may be known: its cursor is no place to learn names from. If none comes for
// a long time, it gives up. A question to May or Want counts as so many keys.
const (
	enough  = 200_000
	tooMuch = 5 // times enough
	inVain  = 4096
	asking  = 10
	wanting = 100
)

// bounds are how many keys, more or less, a search reads at all, and before it thinks of something better (see narrow).
type bounds struct{ enough, inVain int }

// Search returns a page of the versions that q wants. On a kv.DB it sees what is committed while it reads; in a transaction, also what that has put. Errors
// are ErrCursor, ErrBroad, those of the index, of Want, and of ctx.
func Search(ctx context.Context, v kv.View, q Query) (Found, error) {
	return newSearch(v, q, bounds{enough, inVain}).run(ctx)
}

// source is an ordered set of positions: a stream or a union.
type source interface {
	seek(ctx context.Context, position string) (string, error)
}

type search struct {
	Query
	bounds
	view       kv.View
	sources    []source // those of the terms, the one with the fewest keys first
	components *stream  // that have versions, each as component!
	may        map[string]bool
	read       int
	narrowed   bool
}

func newSearch(v kv.View, q Query, b bounds) *search {
	s := &search{Query: q, view: v, bounds: b, may: map[string]bool{}}
	if s.Limit <= 0 {
		s.Limit = DefaultLimit
	}
	s.Limit = min(s.Limit, MaxLimit)
	s.components = newStream(v, prefixHas, &s.read)
	return s
}

func (s *search) run(ctx context.Context) (Found, error) {
	if len(s.Where) > MaxTerms {
		return Found{}, fmt.Errorf("%d filters at once are too many: give up to %d", len(s.Where), MaxTerms)
	}
	from, err := decodeCursor(s.After, s.Newest)
	if err != nil {
		return Found{}, err
	}
	if s.Under != "" && !isComponent(s.Under) {
		return Found{}, nil
	}
	if s.Under != "" && !s.Newest {
		from = max(from, s.Under+"!")
	}
	if err := s.open(ctx, from); err != nil {
		return Found{}, err
	}
	return s.walk(ctx, from)
}

// open makes a stream of each term, and looks which are short.
func (s *search) open(ctx context.Context, from string) error {
	var terms []string
	for _, t := range s.Where {
		terms = append(terms, term(t.Field, t.Value))
	}
	if s.Newest && s.Under != "" {
		terms = append(terms, under(s.Under))
	}
	if len(terms) == 0 {
		terms = []string{everything}
	}
	slices.Sort(terms)
	var streams []*stream
	for _, t := range slices.Compact(terms) {
		stream := newStream(s.view, family(s.Newest)+t, &s.read)
		if err := stream.fetch(ctx, from); err != nil {
			return err
		}
		streams = append(streams, stream)
	}
	slices.SortStableFunc(streams, byReach)
	for _, stream := range streams {
		s.sources = append(s.sources, stream)
	}
	return nil
}

// walk fills the page from a position on, until one more is found, so that a page knows that it is the last.
func (s *search) walk(ctx context.Context, from string) (found Found, err error) {
	start, last := from, ""
	for {
		at, everywhere, err := s.step(ctx, from)
		if err != nil || at == "" {
			return found, err
		}
		component := componentOf(at, s.Newest)
		if s.read > s.enough && at != start {
			switch {
			case s.allowed(component):
				found.Next = encodeCursor(at, s.Newest)
				return found, nil
			case s.read > tooMuch*s.enough && last == "":
				return found, ErrBroad
			case s.read > tooMuch*s.enough:
				found.Next = encodeCursor(beyond(last), s.Newest)
				return found, nil
			}
		}
		if !s.fits(component) || everywhere && !s.allowed(component) {
			if from, err = s.past(ctx, at, component); err != nil || from == "" {
				return found, err
			}
			continue
		}
		if !everywhere {
			from = at
			continue
		}
		from = beyond(at)
		here, wanted, err := s.wanted(ctx, at)
		switch {
		case err != nil:
			return found, err
		case !wanted:
		case len(found.Refs) == s.Limit:
			found.Next = encodeCursor(at, s.Newest)
			return found, nil
		default:
			found.Refs, last = append(found.Refs, here), at
		}
	}
}

// step returns a position at or after the one given before which nothing is in all sources, and whether it is in all itself. "" is the end.
func (s *search) step(ctx context.Context, from string) (at string, everywhere bool, err error) {
	for i, source := range s.sources {
		at, err = source.seek(ctx, from)
		if err != nil || at == "" {
			return "", false, err
		}
		if i > 0 && at != from {
			return at, false, nil
		}
		from = at
	}
	return at, true, nil
}

// wanted asks Want about the version at a position. In the order of names it first has to look up when that was made.
func (s *search) wanted(ctx context.Context, at string) (r Ref, wanted bool, err error) {
	r, ok := split(at, s.Newest)
	if ok && !s.Newest {
		row, err := s.view.Get(ctx, prefixOf+at)
		if errors.Is(err, kv.ErrNotFound) {
			return r, false, nil // it was deleted meanwhile
		}
		if err != nil {
			return r, false, err
		}
		r.Created, ok = created(string(row[:min(width, len(row))]))
	}
	if !ok {
		return r, false, fmt.Errorf("index of versions is damaged at %q", at)
	}
	if s.Want == nil {
		return r, true, nil
	}
	s.read += wanting
	wanted, err = s.Want(r)
	return r, wanted, err
}
