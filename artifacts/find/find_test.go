package find_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts/find"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

func put(t *testing.T, db kv.DB, entries ...find.Entry) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx kv.Tx) error {
		for _, e := range entries {
			if err := find.Put(t.Context(), tx, e); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func search(t *testing.T, v kv.View, q find.Query) find.Found {
	t.Helper()
	found, err := find.Search(t.Context(), v, q)
	if err != nil {
		t.Fatalf("search %+v: %v", q, err)
	}
	return found
}

func names(found find.Found) (all []string) {
	for _, r := range found.Refs {
		all = append(all, r.Component+" "+r.Version)
	}
	return all
}

func entry(component, version string, age int, fields map[string][]string) find.Entry {
	return find.Entry{Ref: find.Ref{Component: component, Version: version, Created: began.Add(-time.Duration(age) * time.Hour)}, Fields: fields}
}

func TestSearch_orders(t *testing.T) {
	db := kv.NewMemory()
	put(t, db, entry("a/b/c", "1.0.0", 3, nil), entry("a/b/c", "1.10.0", 1, nil), entry("a/b/c", "1.9.0", 2, nil), entry("a/b-x/c", "2.0.0", 2, nil))
	if got, want := names(search(t, db, find.Query{})), []string{"a/b-x/c 2.0.0", "a/b/c 1.0.0", "a/b/c 1.10.0", "a/b/c 1.9.0"}; !slices.Equal(got, want) {
		t.Errorf("by name: %q, want %q", got, want)
	}
	newest := search(t, db, find.Query{Newest: true})
	if got, want := names(newest), []string{"a/b/c 1.10.0", "a/b-x/c 2.0.0", "a/b/c 1.9.0", "a/b/c 1.0.0"}; !slices.Equal(got, want) {
		t.Errorf("newest first: %q, want %q", got, want)
	}
	if want := began.Add(-time.Hour); newest.Refs[0].Created != want {
		t.Errorf("created %v, want %v", newest.Refs[0].Created, want)
	}
}

func TestStamps_sort_before_and_after_1970(t *testing.T) {
	db := kv.NewMemory()
	var want []string
	for i, at := range []string{"9999-12-31T23:59:59Z", "2262-04-12T00:00:00Z", "1970-01-01T00:00:00.000001Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z"} {
		created, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			t.Fatal(err)
		}
		version := fmt.Sprint((i * 5) % 7)
		put(t, db, find.Entry{Ref: find.Ref{Component: "a/b/c", Version: version, Created: created.In(time.FixedZone("elsewhere", 3600))}})
		want = append(want, "a/b/c "+version)
		if got := search(t, db, find.Query{Newest: true}).Refs[i].Created; got != created {
			t.Errorf("%s came back as %v", at, got)
		}
	}
	if got := names(search(t, db, find.Query{Newest: true})); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestSearch_hostile_values puts values that try to be those of others, or to leave their keys.
func TestSearch_hostile_values(t *testing.T) {
	values := []find.Term{
		{Field: "team", Value: "x"}, {Field: "teamx", Value: ""}, {Field: "tea", Value: "mx"}, {Field: "team", Value: ""}, {Field: "team", Value: "x!a/b/c"},
		{Field: "team", Value: "x\x00"}, {Field: "team", Value: "\xff"}, {Field: "team", Value: "\xff\xff"}, {Field: "team", Value: "/"}, {Field: "team", Value: "everything......"},
		{Field: "label", Value: strings.Repeat("v", 1<<20)}, {Field: "label", Value: strings.Repeat("v", 1<<20+1)}, {Field: "label", Value: "a=b"}, {Field: "label", Value: "a=b=c"},
		{Field: "find/n/", Value: "../../comp/"}, {Field: "team!", Value: "x"}, {Field: "team", Value: "!x"}, {Field: "11!team", Value: "x"},
	}
	db := kv.NewMemory()
	long := strings.Repeat("a", 251) + "/b/c"
	for i, v := range values {
		put(t, db, entry(long, fmt.Sprintf("%0128d", i), i, map[string][]string{v.Field: {v.Value}}))
	}
	for pair := range db.Scan(t.Context(), "", "") {
		if !strings.HasPrefix(pair.Key, "find/") || len(pair.Key) > 512 || len(pair.Value) > 512 {
			t.Errorf("key %.100q of %d bytes, value of %d", pair.Key, len(pair.Key), len(pair.Value))
		}
	}
	for i, v := range values {
		for _, newest := range []bool{false, true} {
			got := names(search(t, db, find.Query{Where: []find.Term{v}, Newest: newest}))
			if want := []string{long + fmt.Sprintf(" %0128d", i)}; !slices.Equal(got, want) {
				t.Errorf("%.30q, newest %t: got %.400q, want version %d only", v, newest, got, i)
			}
		}
	}
}

func TestPut_refuses_what_has_no_place(t *testing.T) {
	for _, r := range []find.Ref{
		{Component: "", Version: "1"}, {Component: "a", Version: ""}, {Component: "a!b", Version: "1"}, {Component: "a b", Version: "1"}, {Component: "a\x00", Version: "1"},
		{Component: strings.Repeat("a", 256), Version: "1"}, {Component: "a", Version: strings.Repeat("1", 129)},
	} {
		db := kv.NewMemory()
		if err := db.Update(t.Context(), func(tx kv.Tx) error { return find.Put(t.Context(), tx, find.Entry{Ref: r}) }); err == nil || len(err.Error()) > 400 {
			t.Errorf("put %.20q %.20q: %v, want an error that can be read", r.Component, r.Version, err)
		}
		if err := db.Update(t.Context(), func(tx kv.Tx) error { return find.Delete(t.Context(), tx, r.Component, r.Version) }); err == nil {
			t.Errorf("delete %.20q %.20q: want an error", r.Component, r.Version)
		}
	}
}

func TestPut_keeps_the_first_values_of_a_field(t *testing.T) {
	db := kv.NewMemory()
	var labels []string
	for i := range 10 * find.MaxValues {
		labels = append(labels, fmt.Sprintf("%04d", i%(2*find.MaxValues)))
	}
	put(t, db, entry("a/b/c", "1", 0, map[string][]string{"label": labels, "team": {"x"}}))
	for _, c := range []struct {
		term  find.Term
		found bool
	}{
		{find.Term{Field: "label", Value: "0000"}, true}, {find.Term{Field: "label", Value: fmt.Sprintf("%04d", find.MaxValues-1)}, true},
		{find.Term{Field: "label", Value: fmt.Sprintf("%04d", find.MaxValues)}, false}, {find.Term{Field: "team", Value: "x"}, true},
	} {
		if got := search(t, db, find.Query{Where: []find.Term{c.term}}); (len(got.Refs) == 1) != c.found {
			t.Errorf("%v: found %v, want %t", c.term, got.Refs, c.found)
		}
	}
}

// counted counts what a transaction writes.
type counted struct {
	kv.Tx
	writes int
}

func (c *counted) Put(key string, value []byte) { c.writes++; c.Tx.Put(key, value) }
func (c *counted) Delete(key string)            { c.writes++; c.Tx.Delete(key) }

func TestPut_writes_only_what_differs(t *testing.T) {
	db := kv.NewMemory()
	e := large(7, 7)
	put(t, db, e)
	for _, c := range []struct {
		name   string
		change func()
		most   int
	}{
		{"nothing", func() {}, 0},
		{"order and repetition", func() {
			e.Fields["label"] = append(slices.Clone(e.Fields["label"]), e.Fields["label"]...)
			slices.Reverse(e.Fields["label"])
		}, 0},
		{"less than a microsecond", func() { e.Created = e.Created.Add(999) }, 0},
		{"one value more", func() { e.Fields["level"] = []string{"warn"} }, 3},
		{"another value", func() { e.Fields["level"] = []string{"deny"} }, 5},
		{"one value less", func() { delete(e.Fields, "level") }, 3},
	} {
		c.change()
		if err := db.Update(t.Context(), func(tx kv.Tx) error {
			n := &counted{Tx: tx}
			if err := find.Put(t.Context(), n, e); err != nil {
				return err
			}
			if n.writes > c.most || c.most > 0 && n.writes == 0 {
				t.Errorf("%s changed: %d keys written, want up to %d", c.name, n.writes, c.most)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPut_and_Delete_are_seen_in_their_transaction(t *testing.T) {
	db := kv.NewMemory()
	put(t, db, entry("a/b/c", "1", 1, map[string][]string{"team": {"x"}}))
	team := []find.Term{{Field: "team", Value: "x"}}
	if err := db.Update(t.Context(), func(tx kv.Tx) error {
		if err := find.Put(t.Context(), tx, entry("a/b/c", "2", 0, map[string][]string{"team": {"x"}})); err != nil {
			return err
		}
		if err := find.Delete(t.Context(), tx, "a/b/c", "1"); err != nil {
			return err
		}
		for _, newest := range []bool{false, true} {
			if got := names(search(t, tx, find.Query{Where: team, Newest: newest})); !slices.Equal(got, []string{"a/b/c 2"}) {
				t.Errorf("newest %t: %q, want version 2 only", newest, got)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestSearch_refuses_what_is_no_cursor(t *testing.T) {
	db := kv.NewMemory()
	put(t, db, entry("a/b/c", "1", 0, nil), entry("a/b/c", "2", 0, nil))
	coded := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	byName, byTime := search(t, db, find.Query{Limit: 1}).Next, search(t, db, find.Query{Limit: 1, Newest: true}).Next
	if byName == "" || byTime == "" {
		t.Fatal("want a second page in both orders")
	}
	for _, c := range []struct {
		cursor string
		newest bool
	}{
		{byName, true}, {byTime, false}, {byName + "=", false}, {byName + "\n", false}, {"?", false}, {coded("n"), false}, {coded("t"), true},
		{coded("na/b/c"), false}, {coded("n!1"), false}, {coded("na/b/c!"), false}, {coded("na b!1"), false}, {coded("na/b/c!" + strings.Repeat("1", 130)), false},
		{coded("n" + strings.Repeat("a", 256) + "!1"), false}, {coded("ta/b/c!1"), true}, {coded("t7FFFFFFFFFFFFFFFa/b/c!1"), true}, {coded("t+fffffffffffffffa/b/c!1"), true},
		{coded("xa/b/c!1"), false}, {strings.Repeat("A", 1<<20), false}, {"../../comp/", true}, {"\xff\xfe", false},
	} {
		if _, err := find.Search(t.Context(), db, find.Query{After: c.cursor, Newest: c.newest}); !errors.Is(err, find.ErrCursor) {
			t.Errorf("%.60q, newest %t: %v, want %v", c.cursor, c.newest, err, find.ErrCursor)
		}
	}
}

func FuzzSearch_cursor(f *testing.F) {
	db := kv.NewMemory()
	if err := db.Update(context.Background(), func(tx kv.Tx) error {
		return find.Put(context.Background(), tx, entry("a/b/c", "1", 0, nil))
	}); err != nil {
		f.Fatal(err)
	}
	f.Add(base64.RawURLEncoding.EncodeToString([]byte("na/b/c!0")), "a", "b", false)
	f.Add(base64.RawURLEncoding.EncodeToString([]byte("t0000000000000000a/b/c!0")), "a/b/c", "", true)
	f.Fuzz(func(t *testing.T, cursor, under, text string, newest bool) {
		found, err := find.Search(context.Background(), db, find.Query{After: cursor, Under: under, Text: text, Newest: newest})
		if err != nil && !errors.Is(err, find.ErrCursor) || len(found.Refs) > 1 || found.Next != "" {
			t.Errorf("%q under %q with %q: %v, %v", cursor, under, text, found, err)
		}
	})
}

func TestSearch_limits(t *testing.T) {
	db := kv.NewMemory()
	for v := range find.MaxLimit + 1 {
		put(t, db, entry("a/b/c", fmt.Sprintf("%04d", v), v, nil))
	}
	for limit, want := range map[int]int{-1: 100, 0: 100, 1: 1, 999: 999, 1000: 1000, 1 << 50: 1000} {
		if got := search(t, db, find.Query{Limit: limit}); len(got.Refs) != want || got.Next == "" {
			t.Errorf("limit %d: %d on the page, next %q; want %d and a next page", limit, len(got.Refs), got.Next, want)
		}
	}
	if _, err := find.Search(t.Context(), db, find.Query{Where: make([]find.Term, find.MaxTerms+1)}); err == nil {
		t.Errorf("%d filters: want an error", find.MaxTerms+1)
	}
	if got := search(t, db, find.Query{Where: make([]find.Term, find.MaxTerms)}); len(got.Refs) != 0 {
		t.Errorf("filters that nothing has found %v", got)
	}
}

func TestSearch_returns_the_errors_of_others(t *testing.T) {
	db := kv.NewMemory()
	put(t, db, entry("a/b/c", "1", 0, map[string][]string{"team": {"x"}}))
	mine := errors.New("mine")
	ended, end := context.WithCancel(t.Context())
	end()
	for _, newest := range []bool{false, true} {
		if _, err := find.Search(t.Context(), db, find.Query{Newest: newest, Want: func(find.Ref) (bool, error) { return true, mine }}); !errors.Is(err, mine) {
			t.Errorf("newest %t: %v, want that of Want", newest, err)
		}
		if _, err := find.Search(ended, db, find.Query{Newest: newest}); !errors.Is(err, context.Canceled) {
			t.Errorf("newest %t: %v, want that of the context", newest, err)
		}
	}
}

// TestSearch_pages_while_others_write changes the index after each page: what is there all the time is on one page, in order.
func TestSearch_pages_while_others_write(t *testing.T) {
	db, err := bolt.Open(filepath.Join(t.TempDir(), "index.db"), bolt.Options{Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	team := []find.Term{{Field: "team", Value: "x"}, {Field: "env", Value: "prod"}}
	fields := map[string][]string{"team": {"x"}, "env": {"prod"}}
	for _, newest := range []bool{false, true} {
		stay, seen, come := map[string]bool{}, map[string]bool{}, 0
		var all []find.Entry
		for i := range 300 {
			e := entry(fmt.Sprintf("a/b/%03d", i), "1", i%50, fields)
			if all = append(all, e); i%3 > 0 {
				stay[e.Component+" 1"] = true
			}
		}
		put(t, db, all...)
		q, pages := find.Query{Where: team, Newest: newest, Limit: 7}, 0
		for ; pages < 1000; pages++ {
			found := search(t, db, q)
			for _, name := range names(found) {
				if seen[name] && strings.HasSuffix(name, " 1") {
					t.Errorf("newest %t: %s comes twice", newest, name)
				}
				seen[name] = true
				delete(stay, name)
			}
			if q.After = found.Next; q.After == "" {
				break
			}
			for range 4 {
				gone := all[come%100*3]
				if err := db.Update(t.Context(), func(tx kv.Tx) error { return find.Delete(t.Context(), tx, gone.Component, "1") }); err != nil {
					t.Fatal(err)
				}
				put(t, db, entry(fmt.Sprintf("a/b/%03d", come*37%300), "2", come*37%50, fields))
				come++
			}
		}
		if len(stay) > 0 || pages < 30 {
			t.Errorf("newest %t: after %d pages %d that stayed were on none of them", newest, pages, len(stay))
		}
	}
}

// metered counts the keys that are read, and the scans.
type metered struct {
	kv.View
	keys, scans int
}

func (m *metered) Get(ctx context.Context, key string) ([]byte, error) {
	m.keys++
	return m.View.Get(ctx, key)
}

func (m *metered) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		m.scans++
		for p, err := range m.View.Scan(ctx, from, to) {
			if m.keys++; !yield(p, err) {
				return
			}
		}
	}
}

func TestSearch_asks_about_a_component_once(t *testing.T) {
	db := kv.NewMemory()
	for i := range 50 {
		put(t, db, entry(fmt.Sprintf("a/b/%d", i%5), fmt.Sprint(i), i, nil))
	}
	for _, newest := range []bool{false, true} {
		asked := map[string]int{}
		search(t, db, find.Query{Newest: newest, May: func(c string) bool { asked[c]++; return c != "a/b/3" }})
		for c, n := range asked {
			if n != 1 {
				t.Errorf("newest %t: asked %d times about %s, want once", newest, n, c)
			}
		}
		if len(asked) != 5 {
			t.Errorf("newest %t: asked about %d components, want 5", newest, len(asked))
		}
	}
}

func TestCursor_of_the_longest_names(t *testing.T) {
	db := kv.NewMemory()
	long := strings.Repeat("a", 255)
	for _, last := range []string{"1", "2"} {
		put(t, db, entry(long, strings.Repeat("\xff", 127)+last, 0, nil))
	}
	for _, newest := range []bool{false, true} {
		q := find.Query{Newest: newest, Limit: 1, Under: long}
		q.After = search(t, db, q).Next
		if found := search(t, db, q); q.After == "" || len(found.Refs) != 1 || !strings.HasSuffix(found.Refs[0].Version, "2") || found.Next != "" {
			t.Errorf("newest %t: after %q came %v", newest, q.After, found)
		}
	}
}
