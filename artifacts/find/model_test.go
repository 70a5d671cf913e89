package find

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/storage/kv"
)

// The model is a map of entries and a filter that looks at all of them.

var (
	// What lies between a path and what is below it: '-' and '.' sort before '/'.
	modelComponents = []string{"a", "a-b/c/d", "a.b", "a/b", "a/b-c/d", "a/b/c", "a/b/c.d", "a/b/c/d", "a/b/c/d/e", "a/b/d", "a0/b/c", "b/c/d"}
	modelUnder      = append([]string{"", "", "a/b/c/d/f", "a/", "no", "a b", "!", "a/b!"}, modelComponents...)
	modelFields     = []string{"team", "env", "label"}
	modelValues     = []string{"x", "y", "", "x!y", "\xff\x00", strings.Repeat("long", 999)}
	modelMoment     = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
)

type model map[string]Entry

func (m model) fill(tx kv.Tx, draw *rand.Rand, n int) error {
	for range n {
		e := Entry{Ref: Ref{
			Component: modelComponents[draw.IntN(len(modelComponents))],
			Version:   fmt.Sprintf("%d.0", draw.IntN(20)),
			Created:   modelMoment.Add(time.Duration(draw.IntN(21)-10) * time.Hour * 24 * 365 * 10),
		}, Fields: map[string][]string{}}
		for _, field := range modelFields {
			for range draw.IntN(4) {
				e.Fields[field] = append(e.Fields[field], modelValues[min(draw.IntN(len(modelValues)), draw.IntN(len(modelValues)))])
			}
		}
		id := e.Component + "!" + e.Version
		if draw.IntN(4) == 0 {
			delete(m, id)
			if err := Delete(context.Background(), tx, e.Component, e.Version); err != nil {
				return err
			}
			continue
		}
		m[id] = e
		if err := Put(context.Background(), tx, e); err != nil {
			return err
		}
	}
	return nil
}

func (m model) search(q Query) (refs []Ref) {
	for _, e := range m {
		holds := func(t Term) bool { return slices.Contains(e.Fields[t.Field], t.Value) }
		wanted := true
		if q.Want != nil {
			wanted, _ = q.Want(e.Ref)
		}
		if wanted && !slices.ContainsFunc(q.Where, func(t Term) bool { return !holds(t) }) &&
			(q.Under == "" || strings.HasPrefix(e.Component+"/", q.Under+"/")) && strings.Contains(e.Component, q.Text) &&
			(q.May == nil || q.May(e.Component)) {
			refs = append(refs, e.Ref)
		}
	}
	slices.SortFunc(refs, func(a, b Ref) int {
		byName := cmp.Or(cmp.Compare(a.Component, b.Component), cmp.Compare(a.Version, b.Version))
		if q.Newest {
			return cmp.Or(b.Created.Compare(a.Created), byName)
		}
		return byName
	})
	return refs
}

func drawQuery(rt *rapid.T) Query {
	q := Query{
		Under:  rapid.SampledFrom(modelUnder).Draw(rt, "under"),
		Text:   rapid.SampledFrom([]string{"", "", "b", "/c", "e", "no"}).Draw(rt, "text"),
		Newest: rapid.Bool().Draw(rt, "newest"),
		Limit:  rapid.SampledFrom([]int{0, 1, 2, 7, 40, 1 << 40}).Draw(rt, "limit"),
	}
	for range rapid.IntRange(0, 3).Draw(rt, "terms") {
		q.Where = append(q.Where, Term{rapid.SampledFrom(modelFields).Draw(rt, "field"), rapid.SampledFrom(modelValues).Draw(rt, "value")})
	}
	if may := rapid.IntRange(0, 3).Draw(rt, "may"); may > 0 {
		q.May = func(component string) bool { return len(component)%may == 0 }
	}
	if want := rapid.IntRange(0, 3).Draw(rt, "want"); want > 0 {
		q.Want = func(r Ref) (bool, error) { return (len(r.Component)+len(r.Version)+r.Created.Year()/10)%want == 0, nil }
	}
	return q
}

// TestModel_every_page asks for lists of whatever was put and deleted, page by page, and under bounds so narrow that a search often ends early.
func TestModel_every_page(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		db, m := kv.NewMemory(), model{}
		seed, n := rapid.Uint64().Draw(rt, "seed"), rapid.SampledFrom([]int{0, 5, 40, 300}).Draw(rt, "entries")
		if err := db.Update(t.Context(), func(tx kv.Tx) error { return m.fill(tx, rand.New(rand.NewPCG(seed, 1)), n) }); err != nil {
			rt.Fatal(err)
		}
		for range 20 {
			checkQuery(t, rt, db, m, drawQuery(rt))
		}
		if err := db.Update(t.Context(), func(tx kv.Tx) error {
			for _, e := range m {
				if err := Delete(t.Context(), tx, e.Component, e.Version); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			rt.Fatal(err)
		}
		for pair := range db.Scan(t.Context(), "", "") {
			rt.Fatalf("%q is left after all versions were deleted", pair.Key)
		}
	})
}

func checkQuery(t *testing.T, rt *rapid.T, db kv.View, m model, q Query) {
	want := m.search(q)
	b := bounds{
		enough: rapid.SampledFrom([]int{1, 100, 1000, enough}).Draw(rt, "enough"),
		inVain: rapid.SampledFrom([]int{0, 50, inVain}).Draw(rt, "in vain"),
	}
	limit := cmp.Or(min(q.Limit, MaxLimit), DefaultLimit)
	var got []Ref
	for range 10*len(m) + 10 {
		found, err := newSearch(db, q, b).run(t.Context())
		if errors.Is(err, ErrBroad) && q.May != nil && b.enough < enough {
			if !slices.Equal(got, want[:len(got)]) {
				rt.Fatalf("%+v: got %v before it gave up, want the first of %v", q, got, want)
			}
			return
		}
		if err != nil {
			rt.Fatalf("%+v: %v", q, err)
		}
		got = append(got, found.Refs...)
		if len(found.Refs) > limit || b.enough == enough && len(found.Refs) < limit && found.Next != "" {
			rt.Fatalf("%+v: %d on a page, next %q", q, len(found.Refs), found.Next)
		}
		if found.Next == "" {
			break
		}
		if q.After = found.Next; q.May != nil {
			at, err := decodeCursor(q.After, q.Newest)
			if name := componentOf(at, q.Newest); err != nil || !q.May(name) {
				rt.Fatalf("a cursor of %+v tells of %s, %v", q, name, err)
			}
		}
	}
	if !slices.Equal(got, want) {
		rt.Fatalf("%+v in %v: got\n%v, want\n%v", q, slices.Sorted(maps.Keys(m)), got, want)
	}
}
