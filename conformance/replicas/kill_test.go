//go:build backends

package replicas

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// account is what a writer was told is kept.
type account struct {
	repo  string
	blobs map[digest.Digest]int    // sizes
	tags  map[string]digest.Digest // each is pushed once
	moved []digest.Digest          // what the tag "moving" was, or may have been, made to name, in this order
	sure  int                      // how many of these were answered
}

// writer pushes images through the front, each request to another replica, and begins a push anew that something stops.
type writer struct {
	at      *wire.Registry
	random  *rand.Rand
	account account
	pushes  int
	retried int
}

// work goes on until ctx ends.
func (w *writer) work(ctx context.Context) {
	for ctx.Err() == nil {
		w.image(ctx)
	}
}

// blob pushes content in some chunks until that is answered with 201, and tells whether it was.
func (w *writer) blob(ctx context.Context, content []byte) bool {
	d := digest.FromBytes(content)
	for ; ctx.Err() == nil; w.retried++ {
		got, err := w.at.Try("POST", wire.UploadsPath(w.account.repo), nil)
		if err != nil || got.Status != 202 {
			continue
		}
		location := w.at.URL + got.Header.Get("Location")
		at, ok := 0, true
		for chunk := 1 + w.random.IntN(3); ok && chunk > 1; chunk-- {
			next := at + (len(content)-at)/chunk
			got, err = w.at.Try("PATCH", location, bytes.NewReader(content[at:next]), "Content-Type", wire.Octets, "Content-Range", fmt.Sprintf("%d-%d", at, next-1))
			ok, at = err == nil && got.Status == 202, next
		}
		if !ok {
			continue
		}
		got, err = w.at.Try("PUT", wire.With(location, "digest", d.String()), bytes.NewReader(content[at:]), "Content-Type", wire.Octets)
		if err == nil && got.Status == 201 {
			w.account.blobs[d] = len(content)
			return true
		}
	}
	return false
}

func (w *writer) manifest(ctx context.Context, ref string, body []byte) bool {
	for ; ctx.Err() == nil; w.retried++ {
		got, err := w.at.Try("PUT", wire.ManifestPath(w.account.repo, ref), bytes.NewReader(body), "Content-Type", ocispec.MediaTypeImageManifest)
		if err == nil && got.Status == 201 {
			return true
		}
	}
	return false
}

func (w *writer) image(ctx context.Context) {
	config, layer := wire.Config(), wire.Random([]int{300, 30_000, 700_000, 6 << 20}[w.random.IntN(4)])
	if !w.blob(ctx, config) || !w.blob(ctx, layer) {
		return
	}
	body := wire.JSON(imageOf(config, layer))
	tag, d := fmt.Sprintf("t%d", w.pushes), digest.FromBytes(body)
	if !w.manifest(ctx, tag, body) {
		return
	}
	w.account.tags[tag] = d
	w.pushes++
	w.account.moved = append(w.account.moved, d)
	if w.manifest(ctx, "moving", body) {
		w.account.sure = len(w.account.moved)
	}
}

// check reads back everything at a replica.
func (a account) check(t *testing.T, at *wire.Registry) {
	t.Helper()
	for d, size := range a.blobs {
		if got := at.Do(t, "GET", wire.BlobPath(a.repo, d), nil); got.Status != 200 || len(got.Body) != size || digest.FromBytes(got.Body) != d {
			t.Errorf("blob %s of %d bytes was answered with 201 and reads as %d with %d bytes", d, size, got.Status, len(got.Body))
		}
	}
	for tag, d := range a.tags {
		if got := at.Do(t, "GET", wire.ManifestPath(a.repo, tag), nil); got.Status != 200 || digest.FromBytes(got.Body) != d {
			t.Errorf("tag %s was answered with 201 for %s and reads as %d, %s", tag, d, got.Status, digest.FromBytes(got.Body))
		}
	}
	if a.sure == 0 {
		return
	}
	got := at.Do(t, "GET", wire.ManifestPath(a.repo, "moving"), nil).Want(t, 200)
	for _, d := range a.moved[a.sure-1:] {
		if digest.FromBytes(got.Body) == d {
			return
		}
	}
	t.Errorf("the moving tag of %s names neither what was last answered nor what was tried since", a.repo)
}

// TestKill_one_replica_after_another, again and again, while writers push through all of them: nothing that was answered is lost.
func TestKill_one_replica_after_another(t *testing.T) {
	t.Parallel()
	const kills = 9
	s := newStores(t)
	s.direct = true
	h := start(t, s, 3, open)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	var writers []*writer
	for i := range 4 {
		w := &writer{at: h.front, random: rand.New(rand.NewPCG(uint64(i), 11)),
			account: account{repo: fmt.Sprintf("%s-%d", wire.Repo(t), i), blobs: map[digest.Digest]int{}, tags: map[string]digest.Digest{}}}
		writers = append(writers, w)
		all.Go(func() { w.work(ctx) })
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range kills {
		time.Sleep(time.Duration(200+random.IntN(600)) * time.Millisecond) // of work, at no special point of it
		p := h.replicas[i%len(h.replicas)]
		p.Kill()
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		p.Restart()
	}
	stop()
	all.Wait()
	pushes, retried := 0, 0
	for _, w := range writers {
		pushes, retried = pushes+w.pushes, retried+w.retried
		for n := range h.replicas {
			w.account.check(t, h.at(n))
		}
	}
	if pushes < kills || retried == 0 {
		t.Errorf("%d images were pushed and %d requests were in the way of a kill: too few to tell anything", pushes, retried)
	}
	t.Logf("%d images were pushed, %d pushes began anew, %d replicas were killed", pushes, retried, kills)
	h.verify(t)
}

// TestKill_the_replica_that_receives_an_upload: another one takes it over within little more than a minute, and it goes on where it stood.
func TestKill_the_replica_that_receives_an_upload(t *testing.T) {
	t.Parallel() // it mostly waits
	s := newStores(t)
	s.direct = true
	h := start(t, s, 3, open)
	repo, content := wire.Repo(t), wire.Random(12<<20)
	a, b, c := h.at(0), h.at(1), h.at(2)
	path := func(location string) string { return location[strings.Index(location, "/v2/"):] }
	location := path(b.Begin(t, repo))
	location = path(b.Resolve(t, b.Patch(t, location, 0, content[:1<<20]).Want(t, 202)))
	body, send := io.Pipe()
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		_, _ = a.Try("PATCH", location, body, "Content-Type", wire.Octets)
		body.Close()
	}()
	if _, err := send.Write(content[1<<20 : 9<<20]); err != nil {
		t.Fatal(err)
	}
	h.replicas[0].Kill()
	send.Close()
	<-broken
	if got := b.Patch(t, location, 1<<20, []byte("others must wait")); got.Status != 409 {
		t.Errorf("just after its holder was killed the upload is not busy: %d", got.Status)
	}
	var took time.Duration
	var got wire.Reply
	took = soon(t, 2*time.Minute, "another replica has taken the upload over", func() bool {
		got = b.Do(t, "GET", location, nil).Want(t, 204).Has(t, "Range", "0-1048575")
		got = b.Patch(t, location, 1<<20, content[1<<20:7<<20])
		return got.Status != 409
	})
	got.Want(t, 202)
	t.Logf("taken over after %v", took)
	d := digest.FromBytes(content)
	c.Close(t, location, d, content[7<<20:]).Want(t, 201)
	if got := b.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200); !bytes.Equal(got.Body, content) {
		t.Error("the blob reads with other bytes")
	}
	h.replicas[0].Restart()
	h.verify(t)
}
