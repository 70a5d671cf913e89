//go:build backends

package replicas

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// BenchmarkManifest gets a manifest by its tag, from each replica in turn, by many clients. On one machine the replicas, the database and the clients share the
// processors, so that it shows what one more replica costs rather than what it brings.
func BenchmarkManifest(b *testing.B) {
	for count := 1; count <= 3; count++ {
		b.Run(fmt.Sprintf("replicas=%d", count), func(b *testing.B) {
			h := start(b, newStores(b), count, open)
			repo := "check/bench"
			h.front.PushImage(b, repo, "here")
			var at []*wire.Registry
			for i := range h.replicas {
				at = append(at, h.at(i))
			}
			var next atomic.Uint64
			b.SetParallelism(16)
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					got, err := at[next.Add(1)%uint64(count)].Try("GET", wire.ManifestPath(repo, "here"), nil)
					if err != nil || got.Status != 200 {
						b.Errorf("status %d, %v", got.Status, err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}
