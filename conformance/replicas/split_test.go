//go:build backends

package replicas

import (
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// Where a replica may be cut off, how long it may take to notice, and to be back.
const (
	noticed = 40 * time.Second
	back    = 40 * time.Second
)

// later fails the test unless a reply says that the same may work later.
func later(t *testing.T, reply wire.Reply) {
	t.Helper()
	after, err := strconv.Atoi(reply.Header.Get("Retry-After"))
	if reply.Status != 503 || err != nil || after < 1 || after > 60 {
		t.Errorf("%s: %d with Retry-After %q, want 503 and when to try again\n%s", reply.Asked, reply.Status, reply.Header.Get("Retry-After"), reply.Excerpt())
	}
}

// TestSplit_from_the_database: the replica says that it cannot answer, others go on, and it is back by itself.
func TestSplit_from_the_database(t *testing.T) {
	t.Parallel() // it mostly waits
	s := newStores(t)
	s.direct = true
	whole := start(t, s, 1, open)
	u, err := url.Parse(s.database)
	if err != nil {
		t.Fatal(err)
	}
	to := newWay(t, u.Host)
	u.Host = to.addr
	cut := *s
	cut.database = u.String()
	p := cut.replica(t, open)
	r, other := wire.At(p.URL), whole.at(0)
	repo := wire.Repo(t)
	desc, body := other.PushImage(t, repo, "here")
	path := wire.ManifestPath(repo, desc.Digest)
	r.Do(t, "GET", path, nil).Want(t, 200)
	for _, state := range []string{"closed", "silent"} {
		to.set(state)
		soon(t, noticed, "the replica is not ready, with its way to the database "+state, func() bool { return r.Do(t, "GET", "/readyz", nil).Status == 503 })
		later(t, r.Do(t, "GET", path, nil))
		later(t, r.Do(t, "POST", wire.UploadsPath(repo), []byte{}))
		later(t, r.Put(t, repo, "there", image, body))
		other.Do(t, "GET", path, nil).Want(t, 200)
		to.set("open")
		took := soon(t, back, "the replica is ready again", func() bool { return r.Do(t, "GET", "/readyz", nil).Status == 200 })
		t.Logf("%s: back after %v", state, took)
		soon(t, back, "the replica answers again", func() bool { return r.Do(t, "GET", path, nil).Status == 200 })
		r.PushImage(t, repo, state)
		other.Do(t, "GET", wire.ManifestPath(repo, state), nil).Want(t, 200)
	}
}

// TestSplit_from_the_bucket: what needs content says that it cannot be had now, the rest goes on, and all is back by itself.
func TestSplit_from_the_bucket(t *testing.T) {
	t.Parallel() // it mostly waits
	s := newStores(t)
	s.direct = true
	u, err := url.Parse(s.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	to := newWay(t, u.Host)
	s.endpoint = "http://" + to.addr
	h := start(t, s, 1, open)
	r := h.front
	repo, large := wire.Repo(t), wire.Random(2<<20)
	d := r.PushBlob(t, repo, large)
	desc, _ := r.PushImage(t, repo, "here")
	to.set("closed")
	soon(t, noticed, "content cannot be had", func() bool { return r.Do(t, "GET", wire.BlobPath(repo, d), nil).Status == 503 })
	later(t, r.Do(t, "GET", wire.BlobPath(repo, d), nil))
	location := r.Begin(t, repo)
	later(t, r.Patch(t, location, 0, wire.Random(1<<20)))
	r.Do(t, "GET", wire.ManifestPath(repo, desc.Digest), nil).Want(t, 200)
	r.Do(t, "HEAD", wire.BlobPath(repo, d), nil).Want(t, 200)
	to.set("open")
	took := soon(t, back, "content can be had again", func() bool { return r.Do(t, "GET", wire.BlobPath(repo, d), nil).Status == 200 })
	t.Logf("back after %v", took)
	r.PushBlob(t, repo, wire.Random(3<<20))
	h.verify(t)
}
