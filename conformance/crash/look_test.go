package crash

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// sample is how many names of a kind are looked at again although nothing was done with them this round.
const sample = 12

// look asks for what this round was about and for a sample of the rest, or for all, and compares. Where a request was under way, either what
// was true before it or what is true after it must hold, and nothing between.
func (w *writer) look(all bool) {
	for _, r := range w.repos {
		names := r.touched
		if all {
			names = r.facts.clone()
			maps.Copy(names.blobs, r.touched.blobs)
			maps.Copy(names.manifests, r.touched.manifests)
			maps.Copy(names.tags, r.touched.tags)
		} else {
			some(w, names.blobs, r.blobs)
			some(w, names.manifests, r.manifests)
			some(w, names.tags, r.tags)
		}
		found := w.observe(r, names)
		faults := differences(r.facts, found)
		if w.under != nil && w.under.repo == r {
			if other := differences(w.under.after, found); len(other) == 0 {
				r.facts, faults = w.under.after, nil
			} else if len(faults) > 0 {
				w.t.Errorf("%s: when the program died, the %s was under way. Had it not happened:\n  %s\nhad it happened:\n  %s", r.name, w.under.what,
					strings.Join(faults, "\n  "), strings.Join(other, "\n  "))
				faults = nil
			}
		}
		if len(faults) > 0 {
			w.t.Errorf("%s:\n  %s", r.name, strings.Join(faults, "\n  "))
		}
		r.touched = noFacts()
	}
	w.under = nil
	w.lookAtUploads()
}

func some[K ~string, V any](w *writer, into, from map[K]V) {
	names := slices.Sorted(maps.Keys(from))
	for range min(sample, len(names)) {
		name := names[w.random.IntN(len(names))]
		into[name] = from[name]
	}
}

// observe asks for the names, and reads to its end whatever there is.
func (w *writer) observe(r *repo, names facts) facts {
	found := noFacts()
	for d := range names.blobs {
		head := w.reg.Do(w.t, "HEAD", wire.BlobPath(r.name, d), nil).Want(w.t, 200, 404)
		found.blobs[d] = head.Status == 200
		get := w.reg.Do(w.t, "GET", wire.BlobPath(r.name, d), nil).Want(w.t, 200, 404)
		if get.Status != head.Status {
			w.t.Errorf("%s: HEAD says %d, GET %d", get.Asked, head.Status, get.Status)
		}
		if get.Status == 200 && (digest.FromBytes(get.Body) != d || head.Length != int64(len(get.Body))) {
			w.t.Errorf("%s: %d bytes that do not match the digest, HEAD promised %d", get.Asked, len(get.Body), head.Length)
		}
	}
	for d := range names.manifests {
		get := w.reg.Do(w.t, "GET", wire.ManifestPath(r.name, d), nil).Want(w.t, 200, 404)
		found.manifests[d] = get.Status == 200
		if get.Status == 200 && string(get.Body) != string(r.bodies[d]) {
			w.t.Errorf("%s: other bytes than were pushed", get.Asked)
		}
	}
	listed := tags(w.t, w.reg, r.name)
	for tag := range names.tags {
		listed[tag] = true
	}
	for tag := range listed {
		get := w.reg.Do(w.t, "GET", wire.ManifestPath(r.name, tag), nil).Want(w.t, 200, 404)
		found.tags[tag] = ""
		if get.Status == 200 {
			d := digest.Digest(get.Header.Get("Docker-Content-Digest"))
			if found.tags[tag] = d; digest.FromBytes(get.Body) != d {
				w.t.Errorf("%s: bytes that do not match the digest in its header", get.Asked)
			}
		}
	}
	now := tags(w.t, w.reg, r.name)
	for tag, d := range found.tags {
		if now[tag] != (d != "") {
			w.t.Errorf("%s:%s resolves to %q, and that it is listed is %t", r.name, tag, d, now[tag])
		}
	}
	return found
}

// tags reads the list of tags.
func tags(t testing.TB, reg *wire.Registry, repo string) map[string]bool {
	t.Helper()
	listed := map[string]bool{}
	reply := reg.Do(t, "GET", "/v2/"+repo+"/tags/list", nil).Want(t, 200, 404)
	if reply.Status == 404 {
		return listed // a repository without a manifest is none
	}
	var list struct{ Tags []string }
	reply.JSON(t, &list)
	for _, tag := range list.Tags {
		listed[tag] = true
	}
	return listed
}

// differences says what was found that is not as it must be.
func differences(want, found facts) []string {
	var faults []string
	there := map[bool]string{true: "is there", false: "is not there"}
	for d, is := range found.blobs {
		if is != want.blobs[d] {
			faults = append(faults, fmt.Sprintf("blob %s %s", d, there[is]))
		}
	}
	for d, is := range found.manifests {
		if is != want.manifests[d] {
			faults = append(faults, fmt.Sprintf("manifest %s %s", d, there[is]))
		}
	}
	for tag, d := range found.tags {
		if d != want.tags[tag] {
			faults = append(faults, fmt.Sprintf("tag %s names %q, not %q", tag, d, want.tags[tag]))
		}
	}
	slices.Sort(faults)
	return faults
}

// lookAtUploads asks how far the unfinished uploads have come. What was acknowledged is there; of a chunk under way any part may be.
func (w *writer) lookAtUploads() {
	for _, o := range w.open {
		reply := w.reg.Do(w.t, "GET", o.location, nil).Want(w.t, 204, 404)
		if reply.Status == 404 {
			if !o.finishing {
				w.t.Errorf("%s: the upload is gone with its %d acknowledged bytes", reply.Asked, o.size)
			}
			o.finishing = true // so that it is pushed anew
			continue
		}
		_, last, _ := strings.Cut(reply.Header.Get("Range"), "-")
		end, err := strconv.Atoi(last)
		if err != nil {
			w.t.Errorf("%s: Range %q", reply.Asked, reply.Header.Get("Range"))
			continue
		}
		size := end + 1
		if end == 0 {
			size = 0 // no upload of this test has one byte only
		}
		if size < o.size || size > o.size+o.sending {
			w.t.Errorf("%s: has %d bytes; %d were acknowledged and %d under way", reply.Asked, size, o.size, o.sending)
		}
		o.size, o.sending = size, 0
	}
}

// lookAtCommon checks the common repository: the contested tag names the outcome of the last try, or of one that was under way.
func lookAtCommon(t testing.TB, reg *wire.Registry, c *common, all bool) {
	t.Helper()
	get := reg.Do(t, "GET", wire.ManifestPath(sharedRepo, hotTag), nil).Want(t, 200, 404)
	hot := digest.Digest(get.Header.Get("Docker-Content-Digest"))
	may := c.mayBeHot()
	if !may[hot] {
		t.Errorf("%s:%s names %q, which is none of %v", sharedRepo, hotTag, hot, slices.Collect(maps.Keys(may)))
	}
	recent := map[digest.Digest]bool{hot: true}
	for _, m := range c.moves {
		recent[m.to] = true
	}
	for d, answered := range c.images {
		if !all && !recent[d] && answered {
			continue
		}
		get := reg.Do(t, "GET", wire.ManifestPath(sharedRepo, d), nil).Want(t, 200, 404)
		switch {
		case get.Status == 200 && string(get.Body) != string(c.bodies[d]):
			t.Errorf("%s: other bytes than were pushed", get.Asked)
		case get.Status == 200:
			c.images[d] = true
		case answered || d == hot:
			t.Errorf("%s: was pushed and is gone", get.Asked)
		default:
			delete(c.images, d)
		}
	}
	c.hot, c.moves = hot, nil
}

// lookAtLists checks that the catalog names the repositories that have something, and no others.
func lookAtLists(t testing.TB, reg *wire.Registry, c *common, writers []*writer) {
	t.Helper()
	var catalog struct{ Repositories []string }
	reg.Do(t, "GET", "/v2/_catalog", nil).Want(t, 200).JSON(t, &catalog)
	var want []string
	for _, w := range writers {
		for _, r := range w.repos {
			if len(here(r.manifests)) > 0 {
				want = append(want, r.name)
			}
		}
	}
	if c.hot != "" {
		want = append(want, sharedRepo)
	}
	slices.Sort(want)
	if !slices.Equal(catalog.Repositories, want) {
		t.Errorf("the catalog lists %v, want %v", catalog.Repositories, want)
	}
	lookAtAudit(t, reg)
}

// lookAtAudit lets the program recompute the journal's chain.
func lookAtAudit(t testing.TB, reg *wire.Registry) {
	t.Helper()
	var verdict struct{ OK bool }
	reply := reg.Do(t, "POST", "/api/v1/audit/verify", nil).Want(t, 200)
	if reply.JSON(t, &verdict); !verdict.OK {
		t.Errorf("the journal's chain is broken: %s", reply.Excerpt())
	}
}

// verify runs the program's own check of a store that nobody uses.
func verify(t testing.TB, p *program.Program) {
	t.Helper()
	if out, err := p.CLI("verify"); err != nil {
		t.Errorf("entrepot verify: %v\n%s", err, out)
	}
}
