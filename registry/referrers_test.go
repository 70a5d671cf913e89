package registry

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// counted is an index that counts scans of lists of referrers.
type counted struct {
	kv.DB
	scans atomic.Int64
}

func (c *counted) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	if strings.HasPrefix(from, prefixRef) {
		c.scans.Add(1)
	}
	return c.DB.Scan(ctx, from, to)
}

// referred is a subject in a repository of several registries over the same stores.
type referred struct {
	t       testing.TB
	index   *counted
	all     []*Registry
	subject []byte
}

func refer(t testing.TB, registries int) *referred {
	f := &referred{t: t, index: &counted{DB: kv.NewMemory()}, subject: imageOf(sweptConfig, nil)}
	blobs := blob.NewMemory()
	for range registries {
		f.all = append(f.all, open(t, func(c *Config) { c.Blobs, c.Index, c.Shared = blobs, f.index, registries > 1 }))
	}
	mustPush(t, f.all[0], "a/x", sweptConfig)
	return f
}

func (f *referred) name() digest.Digest { return digest.FromBytes(f.subject) }

// body is the i-th referrer.
func (f *referred) body(i int) []byte {
	return imageOf(sweptConfig, nil, func(m *ocispec.Manifest) {
		s := describe(ocispec.MediaTypeImageManifest, f.subject)
		m.Subject, m.ArtifactType, m.Annotations = &s, fmt.Sprintf("type/%d", i%3), map[string]string{"number": fmt.Sprint(i)}
	})
}

func (f *referred) push(r *Registry, i int) error {
	_, err := r.PutManifest(f.t.Context(), Put{Repo: "a/x", Ref: string(digest.FromBytes(f.body(i))), Body: f.body(i)})
	return err
}

func (f *referred) drop(r *Registry, i int) error {
	return r.DeleteManifest(f.t.Context(), "a/x", digest.FromBytes(f.body(i)), nil)
}

// list is what r lists, with cursors.
func (f *referred) list(r *Registry, kind, cursor string) (all []string) {
	f.t.Helper()
	for referrer, err := range r.Referrers(f.t.Context(), "a/x", f.name(), kind, cursor) {
		if err != nil {
			f.t.Error(err)
			return nil
		}
		all = append(all, referrer.Cursor+" "+string(referrer.Descriptor))
	}
	return all
}

func TestReferrers_of_long_lists(t *testing.T) {
	t.Run("are read once", func(t *testing.T) {
		f := refer(t, 1)
		r := f.all[0]
		for i := range longReferrers {
			if err := f.push(r, i); err != nil {
				t.Fatal(err)
			}
		}
		first := f.list(r, "", "")
		if len(first) != longReferrers {
			t.Fatalf("%d are listed, want %d", len(first), longReferrers)
		}
		f.list(r, "", "")
		was := f.index.scans.Load()
		for range 10 {
			if again := f.list(r, "", ""); !slices.Equal(again, first) {
				t.Fatalf("another list:\n%q\n%q", again, first)
			}
		}
		if now := f.index.scans.Load(); now != was {
			t.Errorf("%d scans for a list that did not change", now-was)
		}
	})
	t.Run("of few are not kept", func(t *testing.T) {
		f := refer(t, 1)
		r := f.all[0]
		for i := range longReferrers - 1 {
			if err := f.push(r, i); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			f.list(r, "", "")
		}
		if len(r.lists.known) != 0 {
			t.Errorf("%d lists are kept", len(r.lists.known))
		}
	})
	t.Run("are bounded", func(t *testing.T) {
		var l referrerLists
		for i := range 100 {
			seen := &referrerList{prefix: fmt.Sprint(i), state: "s"}
			for j := range 10 {
				seen.add(kv.Pair{Key: fmt.Sprint(j), Value: make([]byte, 100<<10)})
			}
			l.keep(seen)
			if l.bytes > maxReferrerLists || len(l.known) != l.used.Len() {
				t.Fatalf("%d bytes, %d known, %d used", l.bytes, len(l.known), l.used.Len())
			}
		}
		if n := len(l.known); n < 10 || n > 17 {
			t.Errorf("%d lists of 1 MB are kept", n)
		}
		if l.get("99", "s") == nil || l.get("0", "s") != nil || l.get("99", "t") != nil {
			t.Error("kept is not what was used last")
		}
		for _, p := range slices.Collect(maps.Keys(l.known)) {
			l.drop(l.known[p])
		}
		if l.bytes != 0 {
			t.Errorf("%d bytes of nothing", l.bytes)
		}
		huge := &referrerList{prefix: "huge"}
		for range 40 {
			huge.add(kv.Pair{Key: "k", Value: make([]byte, 100<<10)})
		}
		if huge.rows != nil {
			t.Error("a list without bound is remembered")
		}
	})
}

// TestReferrers_property: whatever several registries do to a list, each of them then lists what there is, from anywhere and of any type; and the list's state goes with
// the last referrer.
func TestReferrers_property(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := refer(t, 2)
		for _, r := range f.all {
			r.lists.long = rapid.IntRange(1, 4).Draw(rt, "long")
		}
		there := map[int]bool{}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			r, i := f.all[rapid.IntRange(0, 1).Draw(rt, "registry")], rapid.IntRange(0, 7).Draw(rt, "referrer")
			switch what := rapid.SampledFrom([]string{"push", "push", "drop", "list", "list", "some"}).Draw(rt, "what"); what {
			case "push":
				if err := f.push(r, i); err != nil {
					rt.Fatal(err)
				}
				there[i] = true
			case "drop":
				if err := f.drop(r, i); (err == nil) != there[i] {
					rt.Fatalf("delete %d, which is there: %v: %v", i, there[i], err)
				}
				delete(there, i)
			default:
				kind, cursor := "", ""
				if what == "some" {
					kind = rapid.SampledFrom([]string{"", "type/0", "type/1", "type/9"}).Draw(rt, "kind")
					cursor = rapid.SampledFrom([]string{"", "type/1!", "type/0!sha256:8", "type/1!" + string(digest.FromBytes(f.body(1))), "x"}).Draw(rt, "cursor")
				}
				want := f.list(open(t, func(c *Config) { c.Index, c.Shared = f.index, true }), kind, cursor)
				if got := f.list(r, kind, cursor); !slices.Equal(got, want) {
					rt.Fatalf("listed of %q from %q:\n%q\nwant\n%q", kind, cursor, got, want)
				}
				if kind+cursor == "" && len(want) != len(there) {
					rt.Fatalf("%d are listed, there are %d", len(want), len(there))
				}
			}
		}
		for i := range there {
			if err := f.drop(f.all[i%2], i); err != nil {
				rt.Fatal(err)
			}
		}
		if left := rows(t, f.index, prefixList); len(left) != 0 {
			rt.Errorf("states of lists that there are not: %q", left)
		}
	})
}

// TestReferrers_while_they_change: who pushed or deleted a referrer finds the list changed, at all registries and whatever others do to it.
func TestReferrers_while_they_change(t *testing.T) {
	f := refer(t, 3)
	for _, r := range f.all {
		r.lists.long = 2
	}
	var workers sync.WaitGroup
	for w := range 6 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			mine := string(digest.FromBytes(f.body(w)))
			for range 150 {
				change, there := f.push, true
				if random.IntN(2) == 0 {
					change, there = f.drop, false
				}
				if err := change(f.all[random.IntN(3)], w); err != nil && there {
					t.Error(err)
					return
				}
				for range 2 {
					r := random.IntN(3)
					all := f.list(f.all[r], "", "")
					if found := slices.ContainsFunc(all, func(s string) bool { return strings.Contains(strings.Fields(s)[0], mine) }); found != there {
						t.Errorf("registry %d lists %s: %v, want %v", r, mine, found, there)
						return
					}
				}
			}
		})
	}
	workers.Wait()
}
