package kvtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/storage/kv"
)

func scanOrder(t *testing.T, db kv.DB) {
	keys := []string{"\x00", "\x00\x00", "!", "-", "/", "0", "A", "Z", "_", "a", "a\x00", "a!", "a-b", "a/", "a/b", "a/b/c", "aa", "b", "z", "~",
		"\x7f", "\x80", "ä", "日本", "\xfe", "\xff", "\xff\xff"}
	slices.Sort(keys)
	for _, i := range rand.Perm(len(keys)) {
		put(t, db, keys[i], "v"+keys[i])
	}
	var all []string
	for _, key := range keys {
		all = append(all, key, "v"+key)
	}
	wantScan(t, db, "", "", all...)
	update(t, db, func(tx kv.Tx) error { wantScan(t, tx, "", "", all...); return nil })
	for i, key := range keys {
		wantScan(t, db, key, "", all[2*i:]...)
		wantScan(t, db, "", key, all[:2*i]...)
	}
}

func scanBounds(t *testing.T, db kv.DB) {
	wantScan(t, db, "", "")
	wantScan(t, db, "a", "z")
	put(t, db, "b", "1", "d", "2", "f", "3")
	check := func(v kv.View) {
		wantScan(t, v, "b", "f", "b", "1", "d", "2")
		wantScan(t, v, "a", "g", "b", "1", "d", "2", "f", "3")
		wantScan(t, v, "c", "e", "d", "2")
		wantScan(t, v, "c", "d")
		wantScan(t, v, "d", "d")
		wantScan(t, v, "d", "d\x00", "d", "2")
		wantScan(t, v, "d\x00", "", "f", "3")
		wantScan(t, v, "f", "b")
		wantScan(t, v, "g", "")
		wantScan(t, v, "", "b")
	}
	check(db)
	update(t, db, func(tx kv.Tx) error { check(tx); return nil })
}

func scanPrefix(t *testing.T, db kv.DB) {
	put(t, db, "a", "1", "a/", "2", "a/x", "3", "a/\xff", "4", "a0", "5", "\xff\xff", "6", "\xff\xffx", "7")
	prefix := func(p string, pairs ...string) {
		t.Helper()
		from, to := kv.Prefix(p)
		wantScan(t, db, from, to, pairs...)
	}
	prefix("a/", "a/", "2", "a/x", "3", "a/\xff", "4")
	prefix("a/\xff", "a/\xff", "4")
	prefix("\xff\xff", "\xff\xff", "6", "\xff\xffx", "7")
	prefix("b")
	prefix("a", "a", "1", "a/", "2", "a/x", "3", "a/\xff", "4", "a0", "5")
}

// many commits n keys k/000000, k/000001, … with their number as value.
func many(t testing.TB, db kv.DB, n int) {
	t.Helper()
	update(t, db, func(tx kv.Tx) error {
		for _, i := range rand.Perm(n) {
			tx.Put(fmt.Sprintf("k/%06d", i), fmt.Appendf(nil, "%d", i))
		}
		return nil
	})
}

func scanBreak(t *testing.T, db kv.DB) {
	many(t, db, 2000)
	for _, stop := range []int{1, 2, 127, 128, 129, 1999} {
		seen := 0
		for range db.Scan(t.Context(), "", "") {
			if seen++; seen == stop {
				break
			}
		}
		put(t, db, "after", "break") // nothing is left locked
		update(t, db, func(tx kv.Tx) error {
			seen := 0
			for range tx.Scan(t.Context(), "", "") {
				if seen++; seen == stop {
					break
				}
			}
			tx.Put("after", []byte("break"))
			return nil
		})
	}
}

func scanPages(t *testing.T, db kv.DB) {
	const n = 10_000
	many(t, db, n)
	put(t, db, "j", "before", "l", "behind")
	check := func(v kv.View) {
		i := 0
		from, to := kv.Prefix("k/")
		for p, err := range v.Scan(t.Context(), from, to) {
			if err != nil {
				t.Fatalf("scan: %v", err)
			}
			if p.Key != fmt.Sprintf("k/%06d", i) || string(p.Value) != fmt.Sprint(i) {
				t.Fatalf("pair %d is %q: %q", i, p.Key, p.Value)
			}
			i++
		}
		if i != n {
			t.Fatalf("scan yielded %d pairs of %d", i, n)
		}
	}
	check(db)
	update(t, db, func(tx kv.Tx) error { check(tx); return nil })
}

func scanLarge(t *testing.T, db kv.DB) {
	var pairs []string
	for i := range 12 {
		pairs = append(pairs, fmt.Sprintf("k%02d", i), strings.Repeat(string(rune('a'+i)), 700_000))
	}
	put(t, db, pairs...)
	i := 0
	for p, err := range db.Scan(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if p.Key != pairs[i] || string(p.Value) != pairs[i+1] {
			t.Fatalf("pair %d is %q with %d bytes", i/2, p.Key, len(p.Value))
		}
		i += 2
	}
	if i != len(pairs) {
		t.Errorf("scan yielded %d pairs of %d", i/2, len(pairs)/2)
	}
}

func scanUpdate(t *testing.T, db kv.DB) {
	const n = 1000
	many(t, db, n)
	seen := 0
	for p, err := range db.Scan(t.Context(), "k/", "k0") {
		if err != nil {
			t.Fatal(err)
		}
		seen++
		update(t, db, func(tx kv.Tx) error {
			tx.Delete(p.Key)
			tx.Put("done/"+p.Key, p.Value)
			return nil
		})
		want(t, db, "done/"+p.Key, string(p.Value))
	}
	if seen != n {
		t.Errorf("the loop saw %d of %d pairs that were there before it", seen, n)
	}
	wantScan(t, db, "k/", "k0")
}

func scanTwice(t *testing.T, db kv.DB) {
	put(t, db, "a", "1")
	seq := db.Scan(t.Context(), "", "")
	for want := range 2 {
		got := 0
		for range seq {
			got++
		}
		if got != want+1 {
			t.Errorf("run %d of the sequence yielded %d pairs", want, got)
		}
		put(t, db, "b", "2")
	}
}
