//go:build backends

package replicas

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/spec/wire"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// pullAll pulls an image with all its parts, as a client would who knows nothing of it.
func pullAll(at *wire.Registry, repo, tag string, want upstreamtest.Image) error {
	get := func(path string, d digest.Digest) ([]byte, error) {
		got, err := at.Try("GET", path, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if got.Status != 200 || digest.FromBytes(got.Body) != d {
			return nil, fmt.Errorf("%s: %d with %d bytes that are %s\n%s", path, got.Status, len(got.Body), digest.FromBytes(got.Body), got.Excerpt()[:min(300, len(got.Excerpt()))])
		}
		return got.Body, nil
	}
	if _, err := get(wire.ManifestPath(repo, tag), want.Descriptor.Digest); err != nil {
		return err
	}
	for _, part := range append([]ocispec.Descriptor{want.Config}, want.Layers...) {
		if _, err := get(wire.BlobPath(repo, part.Digest), part.Digest); err != nil {
			return err
		}
	}
	return nil
}

// TestFill_of_a_cold_image_by_many_clients through three replicas: each of these asks for each thing once at most, and when it is here nobody asks any more.
func TestFill_of_a_cold_image_by_many_clients(t *testing.T) {
	t.Parallel()
	const clients = 16
	s := newStores(t)
	s.direct = true
	up := upstreamtest.New(t)
	want := up.PushImage("team/app", "1.0", 200_000, 9<<20, 900)
	h := start(t, s, 3, open+upstreamed(up, ""))
	repo := upName + "/team/app"
	pull := func() {
		t.Helper()
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				if err := pullAll(h.front, repo, "1.0", want); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	// The upstream is slow enough for many to want the same at once.
	up.Fault(upstreamtest.Always(upstreamtest.Slow(12<<20), "blobs"))
	pull()
	asked := map[string]int{}
	for _, q := range up.Requests() {
		asked[q.Method+" "+q.Path]++
	}
	for _, part := range append([]ocispec.Descriptor{want.Config}, want.Layers...) {
		path := "GET " + wire.BlobPath("team/app", part.Digest)
		if n := asked[path]; n < 1 || n > len(h.replicas) {
			t.Errorf("%s was asked %d times by %d replicas, want at least once, and once by each at most", path, n, len(h.replicas))
		}
		t.Logf("%d bytes were asked for %d times, for %d clients at %d replicas", part.Size, asked[path], clients, len(h.replicas))
	}
	manifests := 0
	for what, n := range asked {
		if strings.Contains(what, "/manifests/") {
			manifests += n
		}
		if n > len(h.replicas) {
			t.Errorf("%s: %d times, want %d at most", what, n, len(h.replicas))
		}
	}
	t.Logf("%d questions about manifests, %d requests in all", manifests, len(up.Requests()))
	up.Forget()
	pull()
	for n := range h.replicas {
		if err := pullAll(h.at(n), repo, "1.0", want); err != nil {
			t.Error(err)
		}
	}
	if again := up.Requests(); len(again) > 0 {
		t.Errorf("what is here was asked for %d times more, first by %s %s", len(again), again[0].Method, again[0].Path)
	}
	h.verify(t)
}

// TestFill_by_a_replica_that_is_killed amid a layer: who followed it sees a broken connection, others get all from the other replicas, and nothing half-done stays.
func TestFill_by_a_replica_that_is_killed(t *testing.T) {
	t.Parallel() // it mostly waits
	s := newStores(t)
	s.direct = true
	up := upstreamtest.New(t)
	want := up.PushImage("team/app", "1.0", 12<<20)
	layer := want.Layers[0]
	repo := upName + "/team/app"
	h := start(t, s, 3, open+upstreamed(up, "")+"limits: {uploadTTL: 3s}\n")
	up.Fault(func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Kind == "blobs" && strings.HasSuffix(q.Path, string(layer.Digest)) && q.Nth == 1 {
			return upstreamtest.Pause(8<<20, nil) // for ever
		}
		return nil
	})
	req, err := http.NewRequestWithContext(t.Context(), "GET", h.replicas[0].URL+wire.BlobPath(repo, layer.Digest), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || got.StatusCode != 200 || got.ContentLength != layer.Size {
		t.Fatalf("%+v, %v", got, err)
	}
	defer got.Body.Close()
	if _, err := io.CopyN(io.Discard, got.Body, 64<<10); err != nil {
		t.Fatalf("the layer does not begin to come: %v", err)
	}
	h.replicas[0].Kill()
	if n, err := io.Copy(io.Discard, got.Body); err == nil {
		t.Errorf("the replica was killed, and its client took %d bytes of %d for all", n+64<<10, layer.Size)
	}
	for n := 1; n < len(h.replicas); n++ {
		if err := pullAll(h.at(n), repo, "1.0", want); err != nil {
			t.Error(err)
		}
	}
	h.replicas[0].Restart()
	if err := pullAll(h.at(0), repo, "1.0", want); err != nil {
		t.Error(err)
	}
	if n := up.Count("GET", wire.BlobPath("team/app", layer.Digest)); n < 2 || n > 3 {
		t.Errorf("the layer was asked for %d times, want once by the replica that was killed, and by each of the others once at most", n)
	}
	look := s.look(t)
	soon(t, 30*time.Second, "nothing is left of what the killed replica was at", func() bool {
		_, others := look.stored(t)
		return len(others) == 0
	})
	h.verify(t)
}

// TestMirror_of_several_replicas is made by one of them, and by another one when that is killed, from where it stood.
func TestMirror_of_several_replicas(t *testing.T) {
	t.Parallel() // it mostly waits, for the lease to end
	s := newStores(t)
	s.direct = true
	up := upstreamtest.New(t)
	first, second := up.PushImage("team/app", "1", 50_000), up.PushImage("team/app", "2", 9<<20)
	stays := wire.BlobPath("team/app", second.Layers[0].Digest)
	up.Fault(func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Path == stays && q.Nth == 1 {
			return upstreamtest.Pause(1<<20, nil) // for ever
		}
		return nil
	})
	h := start(t, s, 3, open+upstreamed(up, "")+fmt.Sprintf("mirror: [{repository: %s/team/app, referrers: false, every: 1h}]\n", upName))
	runner := -1
	soon(t, 30*time.Second, "one replica runs the mirror, and has all but the large layer", func() bool {
		for n := range h.replicas {
			if m := mirror(t, h.at(n)); m.Running != nil {
				runner = n
				return m.Running.Tags.Done == 1 && up.Count("GET", stays) == 1
			}
		}
		return false
	})
	for n := range h.replicas {
		if n != runner && mirror(t, h.at(n)).Running != nil {
			t.Errorf("replicas %d and %d run the same mirror", runner, n)
		}
	}
	if n := up.Asked("tags"); n != 1 {
		t.Errorf("the upstream was asked for its tags %d times, want once: one replica runs", n)
	}
	h.replicas[runner].Kill()
	var other int
	took := soon(t, 3*time.Minute, "another replica has made the run", func() bool {
		for n := range h.replicas {
			if n != runner && mirror(t, h.at(n)).LastRun != nil {
				other = n
				return true
			}
		}
		return false
	})
	t.Logf("made by another replica %v after the first one was killed", took.Round(time.Second))
	if m := mirror(t, h.at(other)); m.LastRun.Failed != 0 || m.LastRun.Tags.Done != 2 {
		t.Errorf("the run has come to %+v, want two tags and no failure", *m.LastRun)
	}
	for _, part := range append(first.Layers, first.Config) {
		if n := up.Count("GET", wire.BlobPath("team/app", part.Digest)); n != 1 {
			t.Errorf("a blob that was here when the first replica was killed was fetched %d times, want once", n)
		}
	}
	if n := up.Count("GET", stays); n != 2 {
		t.Errorf("the layer that was on its way was fetched %d times, want once by each of two", n)
	}
	up.Forget()
	h.replicas[runner].Restart()
	for n := range h.replicas {
		for tag, want := range map[string]upstreamtest.Image{"1": first, "2": second} {
			if err := pullAll(h.at(n), upName+"/team/app", tag, want); err != nil {
				t.Error(err)
			}
		}
	}
	if again := up.Requests(); len(again) != 0 {
		t.Errorf("all is here, and the upstream is asked %d times, first %s %s", len(again), again[0].Method, again[0].Path)
	}
	if n := s.look(t).events(t)["mirror.run"]; n != 1 {
		t.Errorf("%d runs have come to an end, want one", n)
	}
	h.verify(t)
}

// mirrored is what a replica tells of a mirror.
type mirrored struct {
	Running, LastRun *struct {
		Tags   struct{ Done int }
		Failed int
	}
}

func mirror(t *testing.T, at *wire.Registry) mirrored {
	t.Helper()
	var list struct{ Items []mirrored }
	if at.Do(t, "GET", "/api/v1/mirrors", nil).Want(t, 200).JSON(t, &list); len(list.Items) != 1 {
		t.Fatalf("%d mirrors are told of, want one", len(list.Items))
	}
	return list.Items[0]
}
