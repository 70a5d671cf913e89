package artifacts

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/find"
	"github.com/entrepot/entrepot/storage/kv"
)

// BenchmarkFind lists 50,000 versions of 5,000 components, 100 a page, with their rows, on bolt: the 99th percentile of each list is to be 20 ms at most.
func BenchmarkFind(b *testing.B) {
	h := onDisk(b)
	const components, each = 5000, 10
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for first := 0; first < components; first += 100 {
		h.ok(h.index.Update(b.Context(), func(tx kv.Tx) error {
			for i := first; i < first+100; i++ {
				name := fmt.Sprintf("%s/grp%d/svc-%d", []string{"cloud", "core", "ran"}[i%3], i%100, i)
				c := Component{Name: name, Created: began, Latest: fmt.Sprintf("1.0.%d", each-1)}
				for n := range each {
					v := Version{Component: name, Version: fmt.Sprintf("1.0.%d", n), Created: began.Add(time.Duration(n*components+i) * time.Minute), Good: true, Team: fmt.Sprintf("team-%d", i%50),
						Formats: map[Kind]Format{Docker: {Tag: fmt.Sprintf("1.0.%d", n), Digest: digest.FromString(name + fmt.Sprint(n)), Platforms: []string{"linux/amd64"}, Ports: []int{8000 + i%100},
							Labels: map[string]string{"org.opencontainers.image.revision": fmt.Sprintf("%040x", i*each+n), "tier": fmt.Sprint(i % 5)}}}}
					if i%4 == 0 {
						v.Formats[Deb] = Format{Tag: fmt.Sprintf("deb-1.0.%d", n)}
					}
					m := &document.Metadata{Team: v.Team, Domains: []string{"cloud", []string{"core", "ran", "edge"}[i%3]}, Environments: []string{"staging", "prod"}}
					entry := entryOf(State{Version: v}, m)
					if err := write(tx, keyVersion(name, v.Version), v); err != nil {
						return err
					}
					if err := find.Put(b.Context(), tx, entry); err != nil {
						return err
					}
					if n == each-1 {
						if err := find.Put(b.Context(), tx, entryOfComponent(c, entry)); err != nil {
							return err
						}
					}
				}
				if err := write(tx, keyComponent(name), c); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	yes := true
	for _, list := range []struct {
		name string
		q    Query
	}{
		{"all", Query{}},
		{"newest", Query{Newest: true}},
		{"team", Query{Team: "team-7"}},
		{"team and domain", Query{Team: "team-7", Domain: "core"}},
		{"domain and environment", Query{Domain: "cloud", Environment: "prod"}},
		{"format", Query{Format: "deb", Newest: true}},
		{"label", Query{Label: map[string]string{"tier": "3"}}},
		{"port and good", Query{Port: 8042, Good: &yes}},
		{"text", Query{Text: "svc-49"}},
		{"group", Query{Group: "cloud/grp9", Newest: true}},
	} {
		for _, kind := range []string{"versions", "components"} {
			b.Run(list.name+"/"+kind, func(b *testing.B) {
				var took []time.Duration
				q := list.q
				for b.Loop() {
					began := time.Now()
					next, n := "", 0
					if kind == "versions" {
						page, err := h.Find(b.Context(), q)
						h.ok(err)
						next, n = page.Next, len(page.Versions)
					} else {
						page, err := h.FindComponents(b.Context(), q)
						h.ok(err)
						next, n = page.Next, len(page.Components)
					}
					took = append(took, time.Since(began))
					if n == 0 && q.After == "" {
						b.Fatal("nothing was found")
					}
					q.After = next
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms/page")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
