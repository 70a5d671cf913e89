//go:build backends

package replicas

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// TestSuite_that_many_replicas_promote_into_at_once: every promotion is followed once, and the suite lists what they made of it, the same at all replicas.
func TestSuite_that_many_replicas_promote_into_at_once(t *testing.T) {
	const components, rounds = 6, 3
	h := start(t, newStores(t), 3, open)
	h.front.Do(t, "PUT", "/api/v1/groups/cloud/dmp/ownership.yaml", []byte("owner_team: replicas\nsource_repo: https://gitlab.example.com/cloud/dmp\n"),
		"Content-Type", "application/yaml").Want(t, 200, 201)
	for round := range rounds {
		version := fmt.Sprintf("1.0.%d", round)
		for i := range components {
			release(t, h.front, fmt.Sprintf("svc-%d", i), version)
		}
		var all sync.WaitGroup
		for i := range components {
			all.Go(func() {
				at := h.at(i % len(h.replicas))
				got, err := at.Try("POST", "/api/v1/promotions", strings.NewReader(string(wire.JSON(fields{
					"component": fmt.Sprintf("cloud/dmp/svc-%d", i), "version": version, "to": "cloud.dev", "reason": "a test",
				}))), "Content-Type", "application/json")
				if err != nil || got.Status != 201 {
					t.Errorf("promotion of svc-%d %s: %d, %v\n%s", i, version, got.Status, err, got.Excerpt())
				}
			})
		}
		all.Wait()
		for n := range h.replicas {
			packages := string(h.at(n).Do(t, "GET", "/apt/dists/cloud-dev/dmp/binary-amd64/Packages", nil).Want(t, 200).Body)
			for i := range components {
				if name := fmt.Sprintf("svc-%d_%s-1_amd64.deb", i, version); strings.Count(packages, name) != 1 {
					t.Errorf("round %d: at replica %d the suite has %s %d times, want once", round, n, name, strings.Count(packages, name))
				}
			}
		}
	}
	var moves struct{ Items []fields }
	h.front.Do(t, "GET", "/api/v1/promotions?limit=100", nil).Want(t, 200).JSON(t, &moves)
	if len(moves.Items) != components*rounds {
		t.Errorf("there are %d moves, want one for each of the %d promotions", len(moves.Items), components*rounds)
	}
	h.verify(t)
}

// TestVersion_that_grows_at_many_replicas_at_once has all files in the end.
func TestVersion_that_grows_at_many_replicas_at_once(t *testing.T) {
	const files = 9
	h := start(t, newStores(t), 3, open)
	const name = "cloud/dmp/many"
	var all sync.WaitGroup
	for i := range files {
		all.Go(func() {
			pkg := fmt.Sprintf("many-%d", i)
			body := debtest.Build(debtest.Spec{Package: pkg, Version: "1.0.0-1", Arch: "amd64", Files: map[string]string{"usr/share/" + pkg: pkg}})
			got, err := h.at(i%len(h.replicas)).Try("PUT", "/apt/upload/"+name+"/"+pkg+"_1.0.0-1_amd64.deb?version=1.0.0", bytes.NewReader(body))
			if err != nil || got.Status != 201 {
				t.Errorf("%s: %d, %v\n%s", pkg, got.Status, err, got.Excerpt())
			}
		})
	}
	all.Wait()
	var version struct {
		Formats map[string]struct{ Files []fields }
	}
	got := h.front.Do(t, "GET", "/api/v1/components/"+name+"/versions/1.0.0", nil).Want(t, 200)
	if got.JSON(t, &version); len(version.Formats["deb"].Files) != files {
		t.Errorf("the version has %d packages, want %d\n%s", len(version.Formats["deb"].Files), files, got.Excerpt())
	}
	h.verify(t)
}

// release pushes a version of a component: a package and its documents.
func release(t *testing.T, at *wire.Registry, service, version string) {
	t.Helper()
	name := "cloud/dmp/" + service
	body := debtest.Build(debtest.Spec{Package: service, Version: version + "-1", Arch: "amd64", Files: map[string]string{"usr/share/" + service: version}})
	at.Do(t, "PUT", "/apt/upload/"+name+"/"+service+"_"+version+"-1_amd64.deb?version="+version, body).Want(t, 201)
	base := "/api/v1/components/" + name + "/versions/" + version
	at.Do(t, "PUT", base+"/deb/manifest.yaml", fmt.Appendf(nil, "format: deb\nversion: %s-1\nsha256: %s\nbuilt_at: %s\nbase_image: debian:12\n",
		version, digest.FromBytes(body), time.Now().UTC().Add(-time.Minute).Format(time.RFC3339)), "Content-Type", "application/yaml").Want(t, 200, 201)
	at.Do(t, "PUT", base+"/metadata.yaml", fmt.Appendf(nil, "architecture: [amd64]\ndomains: [cloud]\nenvironments: [dev, staging, prod]\ngroup: dmp\nservice_name: %s\nteam: replicas\n",
		service), "Content-Type", "application/yaml").Want(t, 200, 201)
}
