package find_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts/find"
	"github.com/entrepot/entrepot/storage/kv"
)

// TestSearch_reads_little counts the keys that a page takes, among 20,000 versions. A scan costs as much as 30 of them.
func TestSearch_reads_little(t *testing.T) {
	const components, versions = 2000, 10
	db := kv.NewMemory()
	for from := 0; from < components; from += 500 {
		var entries []find.Entry
		for c := from; c < from+500; c++ {
			for v := range versions {
				e := entry(fmt.Sprintf("a/%02d/%04d", c/100, c), fmt.Sprint(v), (c*versions+v)*7919%20000, map[string][]string{
					"half": {[]string{"first", "second"}[c/1000]}, "parity": {[]string{"even", "odd"}[v%2]}, "hundred": {fmt.Sprint(c / 20)}, "most": {"yes"}, "all": {"yes"}, "every": {"yes"},
				})
				e.Fields["age"] = []string{fmt.Sprint(e.Created.After(began.Add(-10000 * time.Hour)))}
				entries = append(entries, e)
			}
		}
		put(t, db, entries...)
	}
	where := func(terms ...string) (all []find.Term) {
		for _, t := range terms {
			field, value, _ := strings.Cut(t, ":")
			all = append(all, find.Term{Field: field, Value: value})
		}
		return all
	}
	for _, c := range []struct {
		name           string
		q              find.Query
		refs           int
		byName, newest int // keys at most
	}{
		{"everything", find.Query{}, 100, 310, 210},
		{"a large page", find.Query{Limit: 1000}, 1000, 3130, 2080},
		{"a dense term", find.Query{Where: where("most:yes")}, 100, 310, 210},
		{"nothing has it", find.Query{Where: where("most:no", "parity:even")}, 0, 110, 110},
		{"one in a hundred, all of which have the other", find.Query{Where: where("hundred:42", "most:yes")}, 100, 580, 6850},
		{"one in a hundred, half of which have the other", find.Query{Where: where("hundred:42", "parity:odd")}, 100, 680, 13150},
		{"one in a hundred and what all have", find.Query{Where: where("most:yes", "all:yes", "every:yes", "hundred:42")}, 100, 1100, 20130},
		{"far apart by name", find.Query{Where: where("half:first", "half:second")}, 0, 170, 21850},
		{"far apart by time", find.Query{Where: where("age:true", "age:false")}, 0, 21880, 170},
		{"a group", find.Query{Under: "a/07"}, 100, 310, 210},
		{"a component", find.Query{Under: "a/07/0777"}, 10, 90, 50},
		{"another's half", find.Query{Under: "a/07", Where: where("half:second")}, 0, 80, 13100},
		{"a name", find.Query{Text: "0777"}, 10, 2440, 7630},
		{"no name", find.Query{Text: "no"}, 0, 2360, 7590},
		{"nothing that may be known", find.Query{May: func(string) bool { return false }}, 0, 2360, 3300},
		{"one that may be known", find.Query{May: func(c string) bool { return c == "a/07/0777" }}, 10, 2440, 3340},
		{"a name with a term", find.Query{Text: "0777", Where: where("parity:odd")}, 5, 2430, 8020},
	} {
		for _, newest := range []bool{false, true} {
			m := &metered{View: db}
			q, most := c.q, c.byName
			if q.Newest = newest; newest {
				most = c.newest
			}
			found := search(t, m, q)
			price := m.keys + 30*m.scans
			if len(found.Refs) != c.refs || price > most {
				t.Errorf("%s, newest %t: %d found for the price of %d keys, want %d and up to %d", c.name, newest, len(found.Refs), price, c.refs, most)
			}
		}
	}
}

// TestSearch_stops_when_it_has_asked_enough has a last word that is always no: pages are empty, but they end and go on, and nobody is asked about twice.
func TestSearch_stops_when_it_has_asked_enough(t *testing.T) {
	db := kv.NewMemory()
	const all = 5000
	var entries []find.Entry
	for i := range all {
		entries = append(entries, entry(fmt.Sprintf("a/b/%04d", i/10), fmt.Sprint(i%10), i, nil))
	}
	put(t, db, entries...)
	for _, newest := range []bool{false, true} {
		asked := map[find.Ref]bool{}
		most, pages := 0, 0
		q := find.Query{Newest: newest}
		for ; pages < 100; pages++ {
			n := 0
			q.Want = func(r find.Ref) (bool, error) {
				if asked[r] {
					t.Errorf("asked twice about %v", r)
				}
				asked[r] = true
				n++
				return false, nil
			}
			found := search(t, db, q)
			most = max(most, n)
			if q.After = found.Next; q.After == "" {
				break
			}
		}
		if len(asked) != all || pages < 2 || most > 2000 {
			t.Errorf("newest %t: asked about %d of %d, up to %d for each of %d pages", newest, len(asked), all, most, pages+1)
		}
	}
}

// TestSearch_gives_up_rather_than_tell asks for what may not be known among more than a search looks through.
func TestSearch_gives_up_rather_than_tell(t *testing.T) {
	db := kv.NewMemory()
	const all = 120_000
	for from := 0; from < all; from += 20_000 {
		var entries []find.Entry
		for i := from; i < from+20_000; i++ {
			entries = append(entries, entry(fmt.Sprintf("a/b/%06d", i), "1", i, nil))
		}
		put(t, db, entries...)
	}
	for _, newest := range []bool{false, true} {
		q := find.Query{Newest: newest, May: func(string) bool { return false }}
		if found, err := find.Search(t.Context(), db, q); !errors.Is(err, find.ErrBroad) || len(found.Refs) > 0 || found.Next != "" {
			t.Errorf("newest %t: %v, %v; want %v", newest, found, err, find.ErrBroad)
		}
		if newest {
			continue
		}
		q.May = func(c string) bool { return c == "a/b/000005" }
		found := search(t, db, q)
		if len(found.Refs) != 1 || found.Next == "" {
			t.Errorf("newest %t: %v, want one and a next page", newest, found)
		}
		if q.After = found.Next; q.After != "" {
			if found, err := find.Search(t.Context(), db, q); !errors.Is(err, find.ErrBroad) {
				t.Errorf("newest %t, then: %v, %v; want %v", newest, found, err, find.ErrBroad)
			}
		}
	}
}

// TestSearch_few_components_in_turn has the versions of the few that are to be listed one component after the other, so that each is at its end while the others go on.
func TestSearch_few_components_in_turn(t *testing.T) {
	db := kv.NewMemory()
	var entries []find.Entry
	for i := range 6000 { // newer than all that is looked for
		entries = append(entries, entry(fmt.Sprintf("a/b/%04d", i/10), fmt.Sprint(i%10), i, nil))
	}
	for i := range 30 {
		entries = append(entries, entry(fmt.Sprintf("a/wanted/%d", []int{2, 0, 1}[i/10]), fmt.Sprint(i), 10_000+i, nil))
	}
	put(t, db, entries...)
	found := search(t, db, find.Query{Text: "wanted", Newest: true, Limit: 50})
	for i, r := range found.Refs {
		if r.Version != fmt.Sprint(i) {
			t.Fatalf("%v is number %d", r, i)
		}
	}
	if len(found.Refs) != 30 {
		t.Errorf("found %d, want 30", len(found.Refs))
	}
}
