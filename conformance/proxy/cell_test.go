package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// cell is one of the matrix while it is looked at.
type cell struct {
	*house
	row
	clients       int
	first, second upstreamtest.Image // what the tag named when it was pulled, and what it names now
}

// cell brings a house into a state, lets the fault begin, asks for a tag, for a blob that is kept and for one that is not, and then looks at what is kept, and
// whether all is well when the upstream is.
func (r row) cell(t *testing.T, state string, clients int) {
	c := &cell{house: build(t, r.with...), row: r, clients: clients}
	if c.push == nil {
		c.push = oci
	}
	well := c.url
	tag := r.cold
	if state == "cold" {
		c.first = c.push(c.up)
	} else {
		c.first = oci(c.up)
		c.warm()
		c.second = c.push(c.up)
		tag = got(whole, first, 0, 0)
	}
	if state == "stale" {
		c.clock.later(time.Hour)
		tag = r.stale
	}
	c.up.Forget()
	c.fault(c.is(c.house))

	c.look("the tag", app+"/manifests/1", "manifests", tag)
	if state != "cold" {
		c.look("a blob that is kept", app+"/blobs/"+string(c.first.Layers[0].Digest), "blobs", got(whole, first, 0, 0))
	}
	missing := c.first.Layers[1].Digest
	c.look("a blob that is not", app+"/blobs/"+string(missing), "blobs", r.blob)
	c.kept(tag, missing, r.blob.status == 200)
	c.heal(well, missing)
	c.sound()
	if c.log.has(password) {
		t.Error("the password is in the log")
	}
}

// warm pulls the tag, the config and the first layer.
func (c *cell) warm() {
	for _, path := range []string{"manifests/1", "blobs/" + string(c.first.Config.Digest), "blobs/" + string(c.first.Layers[0].Digest)} {
		if r := c.get(c.url, app+"/"+path); r.status != 200 {
			c.t.Fatalf("before the fault, %s: %v, %v: %.300q", path, r.answer, r.err, r.body)
		}
	}
}

// look lets all clients ask for something at once, and counts what the upstream is asked.
func (c *cell) look(what, path, kind string, w want) {
	c.t.Helper()
	c.up.Forget()
	seen := c.together(c.clients, "GET", path)
	wrong, sample, all := map[string]int{}, map[string]string{}, map[digest.Digest]bool{}
	for _, r := range seen {
		named := r.names
		if r.names = ""; r.answer != w.answer && !(w.or503 && r.answer == unavailable) {
			seen := fmt.Sprintf("sees %v, want %v", r.answer, w.answer)
			wrong[seen]++
			sample[seen] = fmt.Sprintf("%v: %.250q", r.err, r.body)
		}
		if want := c.digest(kind, w.which); want != "" && named != want {
			wrong[fmt.Sprintf("gets %s, want %s", named, want)]++
		}
		all[named] = true
	}
	for fault, n := range wrong {
		c.t.Errorf("%s: each of %d of %d clients %s; %s", what, n, c.clients, fault, sample[fault])
	}
	if len(all) > 1 {
		c.t.Errorf("%s: clients get different things: %v", what, all)
	}
	heads, gets := c.asked("HEAD", kind), c.asked("GET", kind)
	if more := heads + gets - w.heads - w.gets; heads < w.heads || gets < w.gets || more > w.more {
		c.t.Errorf("%s: the upstream is asked %d times by HEAD and %d by GET, want %d and %d:\n%s", what, heads, gets, w.heads, w.gets, c.requests())
	}
}

// requests tells what the upstream was asked, a line each.
func (h *house) requests() string {
	var b strings.Builder
	for _, q := range h.up.Requests() {
		fmt.Fprintf(&b, "  %s %s %s\n", q.Method, q.Path, q.Range)
	}
	return b.String()
}

// digest is that of a manifest by the image, empty where the digest was named by who asked.
func (c *cell) digest(kind string, w which) digest.Digest {
	switch {
	case kind == "manifests" && w == first:
		return c.first.Descriptor.Digest
	case kind == "manifests" && w == second:
		return c.second.Descriptor.Digest
	}
	return ""
}

// kept asks who asks no upstream: what was served is kept, and nothing else is.
func (c *cell) kept(tag want, missing digest.Digest, isKept bool) {
	c.t.Helper()
	c.up.Forget()
	manifest := c.get(c.offline, app+"/manifests/1")
	if (manifest.status == 200) != (tag.status == 200 || c.second.Repo != "") {
		c.t.Errorf("without the upstream the tag is answered %v", manifest.answer)
	}
	want := c.digest("manifests", tag.which)
	if want == "" && tag.status != 200 {
		want = c.first.Descriptor.Digest // it stays
	}
	if manifest.status == 200 && want != "" && manifest.names != want {
		c.t.Errorf("without the upstream the tag names %s, want %s", manifest.names, want)
	}
	blob := c.get(c.offline, app+"/blobs/"+string(missing))
	if isKept && blob.names != missing || !isKept && blob.status != 404 {
		c.t.Errorf("without the upstream the blob is answered %v; kept: %v, want %v", blob.answer, blob.status == 200, isKept)
	}
	if n := len(c.up.Requests()); n > 0 {
		c.t.Errorf("what is offline asks:\n%s", c.requests())
	}
}

// heal lets the upstream be well again: soon all is as if nothing had been.
func (c *cell) heal(well string, missing digest.Digest) {
	c.t.Helper()
	c.fault(nil)
	c.url = well
	c.clock.later(time.Hour)
	now := oci(c.up)
	if r := c.get(c.url, app+"/manifests/1"); r.names != now.Descriptor.Digest || r.stale {
		c.t.Errorf("when the upstream is well again, the tag is answered %v, want %s: %.300q", r.answer, now.Descriptor.Digest, r.body)
	}
	if r := c.get(c.url, app+"/blobs/"+string(missing)); r.names != missing {
		c.t.Errorf("when the upstream is well again, the blob is answered %v: %v: %.300q", r.answer, r.err, r.body)
	}
}
