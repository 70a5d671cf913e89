//go:build backends

package replicas

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/spec/wire"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// upstreamed is the configuration of replicas that pull through.
func upstreamed(up *upstreamtest.Upstream, more string) string {
	return fmt.Sprintf("upstreams: [{name: %s, urls: [%q], tagTTL: 1h%s}]\n", upName, up.URL, more)
}

// How the upstream is called here.
const upName = "up.example.com"

// outcomes are what clients met with.
type outcomes struct {
	t     *testing.T
	mu    sync.Mutex
	count map[string]int
}

// honest looks at what a client sees of a request while S3 fails: it is done, or the connection breaks, or it is told to come again later. what is then nil, broken or
// later. Anything else fails the test.
func (o *outcomes) honest(what string, got wire.Reply, err error, done ...int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.count[what+" broken"]++
		return false
	}
	for _, status := range done {
		if got.Status == status {
			o.count[what+" done"]++
			return true
		}
	}
	after, wrong := strconv.Atoi(got.Header.Get("Retry-After"))
	if got.Status != 503 || wrong != nil || after < 1 || after > 60 || !strings.Contains(string(got.Body), `"errors"`) {
		o.t.Errorf("%s: %d with Retry-After %q, want 503, an error, and when to try again\n%s", got.Asked, got.Status, got.Header.Get("Retry-After"), got.Excerpt())
	}
	o.count[what+" later"]++
	return false
}

// customer pushes and pulls, and comes again until all has gone well. What it pulls is never anything else than what was asked for.
type customer struct {
	*outcomes
	at     *wire.Registry
	repo   string
	random *rand.Rand
}

// image pushes an image under a tag, and returns its blobs.
func (c *customer) image(ctx context.Context, tag string) (account, bool) {
	config, layer := wire.Config(), wire.Random([]int{300, 40_000, 6 << 20}[c.random.IntN(3)])
	a := account{repo: c.repo, blobs: map[digest.Digest]int{}, tags: map[string]digest.Digest{}}
	for _, content := range [][]byte{config, layer} {
		if !c.insist(ctx, func() bool { return c.blob(content) }) {
			return a, false
		}
		a.blobs[digest.FromBytes(content)] = len(content)
	}
	body := wire.JSON(imageOf(config, layer))
	a.tags[tag] = digest.FromBytes(body)
	return a, c.insist(ctx, func() bool {
		got, err := c.at.Try("PUT", wire.ManifestPath(c.repo, tag), bytes.NewReader(body), "Content-Type", image)
		return c.honest("manifest", got, err, 201)
	})
}

func (c *customer) insist(ctx context.Context, do func() bool) bool {
	for ctx.Err() == nil {
		if do() {
			return true
		}
	}
	return false
}

// blob pushes content in one request, or in chunks, of which a broken one is gone on with where it stands.
func (c *customer) blob(content []byte) bool {
	d := digest.FromBytes(content)
	if c.random.IntN(2) == 0 {
		got, err := c.at.Try("POST", wire.With(wire.UploadsPath(c.repo), "digest", d.String()), bytes.NewReader(content), "Content-Type", wire.Octets)
		return c.honest("push", got, err, 201)
	}
	got, err := c.at.Try("POST", wire.UploadsPath(c.repo), nil)
	if !c.honest("begin", got, err, 202) {
		return false
	}
	location := c.at.URL + got.Header.Get("Location")
	at, half := 0, len(content)/2
	got, err = c.at.Try("PATCH", location, bytes.NewReader(content[:half]), "Content-Type", wire.Octets)
	if c.honest("chunk", got, err, 202) {
		at = half
	} else if at = c.standsAt(location); at < 0 || at > half {
		return false
	}
	for range 5 {
		got, err = c.at.Try("PUT", wire.With(location, "digest", d.String()), bytes.NewReader(content[at:]), "Content-Type", wire.Octets)
		if c.honest("end", got, err, 201) {
			return true
		}
		if at = c.standsAt(location); at < 0 || at > len(content) {
			return false
		}
	}
	return false
}

// standsAt asks how far an upload has come; -1: that cannot be told now, or it is gone.
func (c *customer) standsAt(location string) int {
	got, err := c.at.Try("GET", location, nil)
	if !c.honest("status", got, err, 204, 404) || got.Status == 404 {
		return -1
	}
	_, last, _ := strings.Cut(got.Header.Get("Range"), "-")
	n, _ := strconv.Atoi(last)
	if n == 0 {
		return 0
	}
	return n + 1
}

// pull reads a blob, until it comes.
func (c *customer) pull(ctx context.Context, path string, d digest.Digest) bool {
	return c.insist(ctx, func() bool {
		got, err := c.at.Try("GET", path, nil)
		if !c.honest("pull", got, err, 200) {
			return false
		}
		if digest.FromBytes(got.Body) != d {
			c.t.Errorf("%s came whole, it seems, with %d bytes that are not its own", path, len(got.Body))
		}
		return true
	})
}

// TestFaults_of_S3_during_all_kinds_of_work: half of the requests to the bucket meet with an accident, and then none gets through. Clients are told, or their
// connection breaks; nobody gets less than all and takes it for that. Who tries again succeeds, in the end everything that was answered is there, and nothing else.
func TestFaults_of_S3_during_all_kinds_of_work(t *testing.T) {
	t.Parallel() // it mostly waits
	s := newStores(t)
	faulty := *s
	faulty.direct = true
	toll := newToll(t, s.endpoint)
	faulty.endpoint = toll.URL
	up := upstreamtest.New(t)
	layers := make([]int, 6)
	for i := range layers {
		layers[i] = 100_000 + i<<20
	}
	cold := up.PushImage("team/app", "1", layers...)
	h := start(t, &faulty, 3, open+upstreamed(up, "")+"limits: {uploadTTL: 30s}\n")

	o := &outcomes{t: t, count: map[string]int{}}
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute) // it takes a tenth of that where nothing else runs
	defer stop()
	random := rand.New(rand.NewPCG(3, 5))
	toll.with(func(int, *http.Request) string {
		if random.IntN(2) == 0 {
			return accidents[random.IntN(len(accidents))]
		}
		return ""
	})
	var all sync.WaitGroup
	accounts := make([]account, 8)
	for i := range accounts {
		all.Go(func() {
			c := &customer{o, h.front, fmt.Sprintf("%s-%d", wire.Repo(t), i), rand.New(rand.NewPCG(uint64(i), 5))}
			a, ok := c.image(ctx, "1")
			for d := range a.blobs {
				ok = ok && c.pull(ctx, wire.BlobPath(c.repo, d), d)
			}
			if accounts[i] = a; !ok {
				t.Errorf("%s could not be pushed and pulled within minutes", c.repo)
			}
		})
	}
	for _, layer := range append(cold.Layers, cold.Config) {
		all.Go(func() {
			c := &customer{o, h.front, "", nil}
			if !c.pull(ctx, wire.BlobPath(upName+"/team/app", layer.Digest), layer.Digest) {
				t.Errorf("%s could not be pulled through within minutes", layer.Digest)
			}
		})
	}
	all.Wait()
	struck := toll.with(func(int, *http.Request) string { return slowDown })
	for _, what := range accidents {
		if struck[what] == 0 {
			t.Errorf("no request met with: %s", what)
		}
	}
	t.Logf("accidents: %v; clients: %v", struck, o.count)

	// Now nothing gets through.
	down := &outcomes{t: t, count: map[string]int{}}
	repo := accounts[0].repo
	pushed := wire.Random(2 << 20)
	missing := up.PushImage("team/other", "1", 3<<20)
	var some digest.Digest
	for d, size := range accounts[0].blobs {
		if size > 16<<10 || some == "" {
			some = d
		}
	}
	large := h.at(0)
	began := time.Now()
	var lasted sync.WaitGroup
	ask := func(what, method, path string, body []byte, done ...int) {
		lasted.Go(func() {
			got, err := large.Try(method, path, bytes.NewReader(body), "Content-Type", wire.Octets)
			down.honest(what, got, err, done...)
		})
	}
	ask("push", "POST", wire.With(wire.UploadsPath(repo), "digest", digest.FromBytes(pushed).String()), pushed)
	ask("fill", "GET", wire.BlobPath(upName+"/team/other", missing.Layers[0].Digest), nil)
	ask("manifest", "GET", wire.ManifestPath(repo, "1"), nil, 200)
	ask("small push", "POST", wire.With(wire.UploadsPath(repo), "digest", digest.FromBytes(pushed[:100]).String()), pushed[:100], 201)
	lasted.Go(func() {
		if got, err := large.Try("GET", "/readyz", nil); err != nil || got.Status != 503 {
			t.Errorf("readyz: %d, %v, want 503", got.Status, err)
		}
	})
	lasted.Wait()
	t.Logf("nothing gets through: %v after %v", down.count, time.Since(began).Round(time.Millisecond))
	if down.count["push done"]+down.count["fill done"] > 0 || down.count["manifest done"] != 1 || down.count["small push done"] != 1 {
		t.Errorf("with a bucket that does not answer: %v; want manifests to be served and small blobs to be taken, and nothing else", down.count)
	}

	toll.with(nil)
	soon(t, back, "all replicas are ready again", func() bool {
		for n := range h.replicas {
			if h.at(n).Do(t, "GET", "/readyz", nil).Status != 200 {
				return false
			}
		}
		return true
	})
	later := &customer{o, h.front, repo, rand.New(rand.NewPCG(9, 9))}
	if _, ok := later.image(ctx, "after"); !ok || !later.pull(ctx, wire.BlobPath(upName+"/team/other", missing.Layers[0].Digest), missing.Layers[0].Digest) {
		t.Error("what S3 answers again is not answered here")
	}
	for n := range h.replicas {
		for _, a := range accounts {
			a.check(t, h.at(n))
		}
		for _, layer := range append(cold.Layers, cold.Config) {
			if got := h.at(n).Do(t, "GET", wire.BlobPath(upName+"/team/app", layer.Digest), nil).Want(t, 200); digest.FromBytes(got.Body) != layer.Digest {
				t.Errorf("layer %s reads with other bytes", layer.Digest)
			}
		}
	}
	h.verify(t)
}
