package find_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/artifacts/find"
	"github.com/entrepot/entrepot/storage/kv"
)

var errFailed = errors.New("the medium failed")

// failing is a transaction of which the nth read fails.
type failing struct {
	kv.Tx
	left int
}

func (f *failing) fails() bool { f.left--; return f.left < 0 }

func (f *failing) Get(ctx context.Context, key string) ([]byte, error) {
	if f.fails() {
		return nil, errFailed
	}
	return f.Tx.Get(ctx, key)
}

func (f *failing) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		if f.fails() {
			yield(kv.Pair{}, errFailed)
			return
		}
		f.Tx.Scan(ctx, from, to)(yield)
	}
}

// TestFailing_reads lets each read of each operation fail in turn: the operation returns that error, and no half of an answer passes for a whole one.
func TestFailing_reads(t *testing.T) {
	db := kv.NewMemory()
	var entries []find.Entry
	for i := range 700 {
		fields := map[string][]string{"team": {"x"}, "env": {[]string{"dev", "prod"}[i/7%2]}}
		entries = append(entries, entry(fmt.Sprintf("a/b/%03d", i/2), fmt.Sprint(i%2), i*37%700, fields))
	}
	put(t, db, entries...)
	where := []find.Term{{Field: "team", Value: "x"}, {Field: "env", Value: "dev"}}
	searching := func(q find.Query) func(kv.Tx) (string, error) {
		return func(tx kv.Tx) (string, error) {
			found, err := find.Search(t.Context(), tx, q)
			return fmt.Sprint(found.Refs), err
		}
	}
	costly := func(c string) bool { return strings.HasSuffix(c, "7") && c > "a/b/300" } // May is asked so often that the components are looked through
	stages := map[string]func(kv.Tx) (string, error){
		"put new": func(tx kv.Tx) (string, error) { return "", find.Put(t.Context(), tx, entry("a/b/new", "1", 0, nil)) },
		"change":  func(tx kv.Tx) (string, error) { return "", find.Put(t.Context(), tx, entry("a/b/001", "1", 0, nil)) },
		"delete":  func(tx kv.Tx) (string, error) { return "", find.Delete(t.Context(), tx, "a/b/001", "1") },
		"by name": searching(find.Query{Where: where, Limit: 300}), "newest": searching(find.Query{Where: where, Limit: 300, Newest: true}),
		"part of a name": searching(find.Query{Text: "77"}), "newest that may be known": searching(find.Query{May: costly, Newest: true, Limit: 300}),
	}
	for name, stage := range stages {
		want, failures := "", 0
		for n := 1 << 20; ; n = failures {
			var got string
			var err error
			_ = db.Update(t.Context(), func(tx kv.Tx) error {
				got, err = stage(&failing{Tx: tx, left: n})
				return errFailed // so that nothing is kept
			})
			if n == 1<<20 {
				if want = got; err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				continue
			}
			if err == nil {
				if got != want {
					t.Errorf("%s: got %s without an error, want %s", name, got, want)
				}
				break
			}
			if failures++; !errors.Is(err, errFailed) {
				t.Errorf("%s, read %d failed: %v, want %v", name, n, err, errFailed)
			}
		}
		if failures == 0 {
			t.Errorf("%s read nothing", name)
		}
	}
}

func TestDamaged_rows(t *testing.T) {
	for _, c := range []struct {
		name, key, value string
		breaks           []string // operations
	}{
		{"a row cut short", "find/of/a/b/c!1", "7fffffff", []string{"put", "by name"}},
		{"a row of something else", "find/of/a/b/c!1", "zzzzzzzzzzzzzzzz", []string{"by name"}},
		{"a time that is none", "find/t/everything......zzzzzzzzzzzzzzzza/b/d!1", "", []string{"newest"}},
		{"a key without a time", "find/t/everything......zz", "", []string{"newest"}},
		{"a name that is none", "find/n/everything......a/b/d", "", []string{"by name"}},
	} {
		db := kv.NewMemory()
		put(t, db, entry("a/b/c", "1", 0, nil))
		if err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Put(c.key, []byte(c.value)); return nil }); err != nil {
			t.Fatal(err)
		}
		check := func(what string, err error) {
			t.Helper()
			if want := slices.Contains(c.breaks, what); (err != nil) != want {
				t.Errorf("%s, %s: %v, want an error: %t", c.name, what, err, want)
			}
		}
		_, err := find.Search(t.Context(), db, find.Query{})
		check("by name", err)
		_, err = find.Search(t.Context(), db, find.Query{Newest: true})
		check("newest", err)
		check("put", db.Update(t.Context(), func(tx kv.Tx) error { return find.Put(t.Context(), tx, entry("a/b/c", "1", 5, nil)) }))
	}
}

func TestSearch_leaves_out_what_was_deleted_meanwhile(t *testing.T) {
	db := kv.NewMemory()
	put(t, db, entry("a/b/c", "1", 0, nil), entry("a/b/c", "2", 0, nil))
	if err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Delete("find/of/a/b/c!1"); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := names(search(t, db, find.Query{})); !slices.Equal(got, []string{"a/b/c 2"}) {
		t.Errorf("got %q, want version 2 only", got)
	}
}
