package find_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts/find"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

var (
	domains      = []string{"cloud", "cloud", "cloud", "ran", "ran", "core"}
	environments = []string{"dev", "staging", "prod"}
	formats      = []string{"docker", "deb", "generic"}
	began        = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
)

// large is version v of component c of a registry of 5,000 components, with some 15 values to find it by.
func large(c, v int) find.Entry {
	draw := rand.New(rand.NewPCG(uint64(c), uint64(v)))
	domain, group := domains[c%len(domains)], c/10
	e := find.Entry{
		Ref: find.Ref{
			Component: fmt.Sprintf("%s/group-%03d/ms-service-%04d", domain, group, c),
			Version:   fmt.Sprintf("1.%d.%d", v/4, v%4),
			Created:   began.Add(time.Duration(draw.IntN(365*24*3600)) * time.Second),
		},
		Fields: map[string][]string{
			"team":   {fmt.Sprintf("team-%02d", group%50)},
			"domain": {domain},
			"env":    environments[:1+draw.IntN(3)],
			"format": {formats[(c+v)%3]},
			"arch":   {"amd64"},
			"commit": {fmt.Sprintf("%040x", draw.Uint64())},
			"port":   {fmt.Sprint(8000 + c%20), "9090"},
			"label": {
				"tier=" + []string{"backend", "frontend"}[v%2],
				"half=" + []string{"even", "odd"}[(c+v)%2],
				fmt.Sprintf("maintainer=person-%d@example.com", c%300),
				fmt.Sprintf("org.opencontainers.image.version=1.%d.%d", v/4, v%4),
				"org.label-schema.schema-version=1.0",
			},
		},
	}
	if (c*10+v)%100 == 0 {
		e.Fields["level"] = []string{"deny"}
	}
	if v%2 == 0 {
		e.Fields["arch"] = []string{"amd64", "arm64"}
	}
	return e
}

const components, versions = 5000, 10

func largeIndex(b *testing.B, opts bolt.Options) kv.DB {
	b.Helper()
	db, err := bolt.Open(filepath.Join(b.TempDir(), "index.db"), opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	for from := 0; from < components; from += 100 {
		if err := db.Update(b.Context(), func(tx kv.Tx) error {
			for c := from; c < from+100; c++ {
				for v := range versions {
					if err := find.Put(b.Context(), tx, large(c, v)); err != nil {
						return err
					}
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	return db
}

// BenchmarkSearch turns the pages of lists of a registry of 50,000 versions, and reports what the slowest in a hundred of each list takes.
func BenchmarkSearch(b *testing.B) {
	db := largeIndex(b, bolt.Options{Lazy: true})
	b.Logf("the index takes %d MiB", db.Size()>>20)
	where := func(terms ...string) (all []find.Term) {
		for _, t := range terms {
			field, value, _ := strings.Cut(t, ":")
			all = append(all, find.Term{Field: field, Value: value})
		}
		return all
	}
	for _, list := range []struct {
		name string
		q    find.Query
	}{
		{"all", find.Query{}},
		{"team", find.Query{Where: where("team:team-07")}},
		{"domain", find.Query{Where: where("domain:cloud")}},
		{"env", find.Query{Where: where("env:prod")}},
		{"format", find.Query{Where: where("format:deb")}},
		{"port", find.Query{Where: where("port:8003")}},
		{"label", find.Query{Where: where("label:maintainer=person-7@example.com")}},
		{"level", find.Query{Where: where("level:deny")}},
		{"commit", find.Query{Where: where(fmt.Sprintf("commit:%s", large(777, 3).Fields["commit"][0]))}},
		{"unknown", find.Query{Where: where("team:nobody")}},
		{"team+domain", find.Query{Where: where("team:team-07", "domain:cloud")}},
		{"domain+env", find.Query{Where: where("domain:cloud", "env:prod")}},
		{"domain+env+format+tier", find.Query{Where: where("domain:cloud", "env:prod", "format:deb", "label:tier=backend")}},
		{"team+level+env", find.Query{Where: where("team:team-07", "level:deny", "env:prod")}},
		{"two domains", find.Query{Where: where("domain:cloud", "domain:ran")}},
		{"interleaved halves", find.Query{Where: where("label:half=even", "label:half=odd")}},
		{"two formats", find.Query{Where: where("format:deb", "format:docker")}},
		{"rare against dense", find.Query{Where: where("port:8003", "label:half=even", "label:half=odd")}},
		{"level against half", find.Query{Where: where("level:deny", "label:half=odd")}},
		{"under domain", find.Query{Under: "cloud"}},
		{"under group", find.Query{Under: "ran/group-077"}},
		{"under component", find.Query{Under: large(4321, 0).Component}},
		{"under domain+env", find.Query{Under: "core", Where: where("env:prod", "label:tier=backend")}},
		{"text common", find.Query{Text: "service"}},
		{"text rare", find.Query{Text: "-4321"}},
		{"text none", find.Query{Text: "nothing"}},
		{"text+half", find.Query{Text: "77", Where: where("label:half=even")}},
		{"may one team", find.Query{May: func(c string) bool { return strings.Contains(c, "group-490") }}},
		{"may nothing", find.Query{May: func(string) bool { return false }}},
	} {
		for _, newest := range []bool{false, true} {
			q := list.q
			q.Newest = newest
			b.Run(fmt.Sprintf("%s/newest=%t", list.name, newest), func(b *testing.B) {
				var took []time.Duration
				refs, pages := 0, 0
				for b.Loop() {
					start := time.Now()
					found, err := find.Search(b.Context(), db, q)
					took = append(took, time.Since(start))
					if err != nil {
						b.Fatal(err)
					}
					refs, pages = refs+len(found.Refs), pages+1
					q.After = found.Next
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
				b.ReportMetric(float64(refs)/float64(pages), "refs/page")
			})
		}
	}
}

// BenchmarkPut measures what a version costs an Update in an index of 50,000, and what such an Update costs by itself.
func BenchmarkPut(b *testing.B) {
	db := largeIndex(b, bolt.Options{})
	next := 0
	entry := func() find.Entry {
		next++
		return large(next*7919%components, versions+next/components)
	}
	changed := func() find.Entry {
		e := large(next*7919%components, next%versions)
		next++
		e.Fields["level"] = []string{fmt.Sprint(next)}
		return e
	}
	for _, kind := range []struct {
		name string
		fn   func(kv.Tx) error
	}{
		{"one row only", func(tx kv.Tx) error { next++; tx.Put(fmt.Sprintf("other/%d", next*7919%components), nil); return nil }},
		{"unchanged", func(tx kv.Tx) error { return find.Put(b.Context(), tx, large(77, 7)) }},
		{"one value changed", func(tx kv.Tx) error { return find.Put(b.Context(), tx, changed()) }},
		{"new", func(tx kv.Tx) error { return find.Put(b.Context(), tx, entry()) }},
	} {
		b.Run(kind.name, func(b *testing.B) {
			for b.Loop() {
				if err := db.Update(b.Context(), kind.fn); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
