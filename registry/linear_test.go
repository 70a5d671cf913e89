package registry

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/opencontainers/go-digest"
)

// tagStep is one thing done to a tag; "" as a digest stands for none.
type tagStep struct {
	kind string // read, move, untag, delete
	d    digest.Digest
}

// tagSaw is what it returned: what was read, or whether there was something to remove.
type tagSaw struct {
	d     digest.Digest
	found bool
}

// oneTag is a tag as clients may rely on it, together with the manifests that it may name: removing one removes the tag that names it.
var oneTag = porcupine.Model{
	Init: func() any { return digest.Digest("") },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(digest.Digest), input.(tagStep), output.(tagSaw)
		switch in.kind {
		case "read":
			return out.d == now, now
		case "move":
			return true, in.d
		case "untag":
			return out.found == (now != ""), digest.Digest("")
		}
		if now == in.d && out.found {
			return true, digest.Digest("")
		}
		return !out.found || now != in.d, now // without the manifest no tag can name it
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%v → %v", input, output) },
}

// TestTag_is_linearizable: moves, reads and deletions of a tag by many clients have an order that explains everything each of them saw.
func TestTag_is_linearizable(t *testing.T) {
	for _, place := range []string{"memory", "files"} {
		t.Run(place, func(t *testing.T) {
			r := open(t)
			if place == "files" {
				r = open(t, onBolt(t))
			}
			config := []byte("{}")
			mustPush(t, r, "a", config)
			var bodies [][]byte
			for i := range 3 {
				bodies = append(bodies, imageOf(config, nil, annotated(fmt.Sprint(i))))
			}
			var mu sync.Mutex
			var history []porcupine.Operation
			var clients sync.WaitGroup
			began := time.Now()
			for client := range 6 {
				clients.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(client), 7))
					for range 60 {
						body := bodies[rng.IntN(len(bodies))]
						in := tagStep{[]string{"read", "read", "read", "move", "move", "untag", "delete"}[rng.IntN(7)], digest.FromBytes(body)}
						call := time.Since(began)
						out, err := in.do(t, r, body)
						end := time.Since(began)
						if err != nil {
							t.Errorf("%s: %v", in.kind, err)
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
			verified(t, r.blobs, r.index)
		})
	}
}

func (s tagStep) do(t *testing.T, r *Registry, body []byte) (out tagSaw, err error) {
	ctx := t.Context()
	switch s.kind {
	case "read":
		desc, got, err := r.Manifest(ctx, "a", "moving")
		if err == nil && digest.FromBytes(got) != desc.Digest {
			err = fmt.Errorf("resolved to %s, read %s", desc.Digest, digest.FromBytes(got))
		}
		return tagSaw{d: desc.Digest}, unlessUnknown(err)
	case "move":
		_, err = r.PutManifest(ctx, Put{Repo: "a", Ref: "moving", Body: body})
		return out, err
	case "untag":
		err = r.DeleteTag(ctx, "a", "moving", nil)
	case "delete":
		err = r.DeleteManifest(ctx, "a", s.d, nil)
	}
	return tagSaw{found: err == nil}, unlessUnknown(err)
}

func unlessUnknown(err error) error {
	if Code(err) == ManifestUnknown {
		return nil
	}
	return err
}
