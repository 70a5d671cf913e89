//go:build backends

package replicas

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// TestQuota_holds_across_replicas: pushes at all replicas at once do not exceed it together, all replicas tell the same of it, and it is right to the byte.
func TestQuota_holds_across_replicas(t *testing.T) {
	const size, fit, pushers = 40_000, 20, 12
	h := start(t, newStores(t), 3, open+fmt.Sprintf("quotas:\n  - {on: team, bytes: %d}\n  - {on: \"**\", repositories: 1000}\n", size*fit+size/2))
	for deadline := time.Now().Add(time.Minute); strings.Count(h.quotas(t, 0), `"counted":true`) != 2; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not counted after a minute: %s", h.quotas(t, 0))
		}
	}
	shared := wire.Random(size) // what all push counts once
	var taken atomic.Int64
	var all sync.WaitGroup
	for n := range pushers {
		all.Go(func() {
			for i := range 5 {
				content := shared
				if i > 0 {
					content = wire.Random(size)
				}
				repo, d := fmt.Sprintf("team/r%d", n), digest.FromBytes(content)
				begun, err := h.front.Try("POST", wire.UploadsPath(repo), nil)
				if err != nil || begun.Status != 202 {
					t.Errorf("begin: %d, %v\n%s", begun.Status, err, begun.Excerpt())
					return
				}
				got, err := h.front.Try("PUT", wire.With(h.front.Resolve(t, begun), "digest", d.String()), strings.NewReader(string(content)), "Content-Type", "application/octet-stream")
				switch {
				case err == nil && got.Status == 201 && i > 0:
					taken.Add(1)
				case err == nil && got.Status == 201:
				case err == nil && got.Status == 403 && strings.Contains(string(got.Body), "the quota of team is"):
				default:
					t.Errorf("push: %d, %v\n%s", got.Status, err, got.Excerpt())
				}
			}
		})
	}
	all.Wait()
	if n := taken.Load(); n != fit-1 {
		t.Errorf("%d blobs were taken beside the one that all have; want %d", n, fit-1)
	}
	want := fmt.Sprintf(`"path":"team","max":{"bytes":%d,"manifests":0,"tags":0,"repositories":0},"used":{"bytes":%d,`, size*fit+size/2, size*fit)
	for n := range h.replicas {
		if got := h.quotas(t, n); !strings.Contains(got, want) {
			t.Errorf("replica %d says %s; want %s", n, got, want)
		}
	}
	h.verify(t)
}

func (h *house) quotas(t *testing.T, n int) string {
	t.Helper()
	return string(h.at(n).Do(t, "GET", "/api/v1/quotas", nil).Want(t, 200).Body)
}
