//go:build backends

package replicas

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// TestReferrers_are_never_out_of_date: long lists are kept in memory by each replica. Who has pushed or deleted a referrer at any of them finds the list changed at all of
// them, at once, while others change it as well.
func TestReferrers_are_never_out_of_date(t *testing.T) {
	h := start(t, newStores(t), 3, open)
	repo := wire.Repo(t)
	subject, body := h.front.PushImage(t, repo, "")
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	m.Layers, m.Subject = []ocispec.Descriptor{}, &subject
	referrer := func(i int) (digest.Digest, string) {
		m.ArtifactType, m.Annotations = fmt.Sprintf("application/vnd.test.%d", i%2), map[string]string{"number": fmt.Sprint(i)}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return digest.FromBytes(b), string(b)
	}
	const standing, changers = 140, 6
	type one struct {
		d    digest.Digest
		body string
	}
	var all []one
	for i := range standing + changers {
		d, body := referrer(i)
		all = append(all, one{d, body})
	}
	at := func() *wire.Registry { return h.at(rand.IntN(len(h.replicas))) }
	push := func(o one) error {
		got, err := at().Try("PUT", wire.ManifestPath(repo, o.d), strings.NewReader(o.body), "Content-Type", image)
		return expected(got, err, 201)
	}
	drop := func(o one) error {
		got, err := at().Try("DELETE", wire.ManifestPath(repo, o.d), nil)
		return expected(got, err, 202)
	}
	// lists says which of the referrers a replica lists, and how many there are in all.
	lists := func(o one) (bool, int, error) {
		got, err := at().Try("GET", wire.ReferrersPath(repo, subject.Digest), nil)
		if err := expected(got, err, 200); err != nil {
			return false, 0, err
		}
		var index ocispec.Index
		err = json.Unmarshal(got.Body, &index)
		return strings.Contains(string(got.Body), string(o.d)), len(index.Manifests), err
	}
	for _, o := range all[:standing] {
		if err := push(o); err != nil {
			t.Fatal(err)
		}
	}
	var workers sync.WaitGroup
	for _, o := range all[standing:] {
		workers.Go(func() {
			for i := range 40 {
				there := i%2 == 0
				do := drop
				if there {
					do = push
				}
				if err := do(o); err != nil {
					t.Error(err)
					return
				}
				for range 3 {
					listed, n, err := lists(o)
					if err != nil || listed != there || n < standing || n > standing+changers {
						t.Errorf("round %d: listed: %v, want %v; %d in all; %v", i, listed, there, n, err)
						return
					}
				}
			}
		})
	}
	workers.Wait()
	h.verify(t)
}
