//go:build backends

package replicas

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

const image = ocispec.MediaTypeImageManifest

// step is what a client does to a tag: read, move or remove it; was is what it saw.
type step struct {
	kind string
	d    digest.Digest
}

type was struct {
	d     digest.Digest
	found bool
}

// oneTag is a tag as clients rely on it, at whichever replica they ask; "" stands for none.
var oneTag = porcupine.Model{
	Init: func() any { return digest.Digest("") },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(digest.Digest), input.(step), output.(was)
		switch in.kind {
		case "read":
			return out.d == now, now
		case "move":
			return true, in.d
		}
		return out.found == (now != ""), digest.Digest("")
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%v → %v", input, output) },
}

// TestTag_is_linearizable_across_replicas: what many clients did at many replicas has an order that explains what each of them saw.
func TestTag_is_linearizable_across_replicas(t *testing.T) {
	h := start(t, newStores(t), 3, open)
	repo := wire.Repo(t)
	var bodies [][]byte
	for range 3 {
		_, body := h.front.PushImage(t, repo, "")
		bodies = append(bodies, body)
	}
	var mu sync.Mutex
	var history []porcupine.Operation
	var clients sync.WaitGroup
	began := time.Now()
	for client := range 6 {
		clients.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(client), 5))
			for range 60 {
				body := bodies[rng.IntN(len(bodies))]
				in := step{[]string{"read", "read", "read", "move", "move", "remove"}[rng.IntN(6)], digest.FromBytes(body)}
				call := time.Since(began)
				out, err := in.do(h, repo, body)
				end := time.Since(began)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(end)})
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	if verdict := porcupine.CheckOperationsTimeout(oneTag, history, 20*time.Second); verdict != porcupine.Ok {
		t.Errorf("of the %d operations: %s, no order explains what they returned", len(history), verdict)
	}
	h.verify(t)
}

func (s step) do(h *house, repo string, body []byte) (was, error) {
	path := wire.ManifestPath(repo, "moving")
	switch s.kind {
	case "read":
		got, err := h.front.Try("GET", path, nil)
		if err == nil && got.Status == 200 {
			return was{d: digest.FromBytes(got.Body)}, nil
		}
		return was{}, expected(got, err, 404)
	case "move":
		got, err := h.front.Try("PUT", path, bytes.NewReader(body), "Content-Type", image)
		return was{}, expected(got, err, 201)
	}
	got, err := h.front.Try("DELETE", path, nil)
	if err == nil && got.Status == 202 {
		return was{found: true}, nil
	}
	return was{}, expected(got, err, 404)
}

func expected(got wire.Reply, err error, status int) error {
	if err == nil && got.Status != status {
		err = fmt.Errorf("%s: %d, want %d: %s", got.Asked, got.Status, status, got.Excerpt())
	}
	return err
}
