package crash

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// sharedRepo is where all writers push and fight over the tag hotTag.
const (
	sharedRepo = "crash/shared"
	hotTag     = "hot"
)

// writer is one client. It does one thing after another and keeps account of what it was told.
type writer struct {
	t       testing.TB
	number  int
	random  *rand.Rand
	next    uint64 // number of the next new piece
	reg     *wire.Registry
	repos   []*repo
	open    []*opened
	common  *common
	config  piece // of the images in the common repository
	under   *change
	changes int // that were answered
}

// errGone says that the program died, or that the writer need not go on.
type errGone struct{ error }

// work goes on until the program is gone.
func (w *writer) work() {
	steps := []struct {
		weight int
		do     func(*repo) error
	}{
		{6, w.pushWhole}, {4, w.pushInOne}, {3, w.pushChunks}, {8, w.pushImage}, {4, w.moveTag}, {2, w.deleteTag}, {2, w.deleteManifest},
		{2, w.deleteBlob}, {3, w.mount}, {3, w.leaveOpen}, {2, w.goOn}, {2, w.pushLie}, {5, w.fight},
	}
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	for {
		n := w.random.IntN(total)
		for _, s := range steps {
			if n -= s.weight; n < 0 {
				if err := s.do(w.repos[w.random.IntN(len(w.repos))]); err != nil {
					return
				}
				break
			}
		}
	}
}

// ask sends a request. Any answer beside the wanted ones is a fault of the program; no answer ends the round.
func (w *writer) ask(method, target string, body []byte, want []int, headers ...string) (wire.Reply, error) {
	var src io.Reader
	if body != nil {
		src = bytes.NewReader(body)
	}
	reply, err := w.reg.Try(method, target, src, headers...)
	if err != nil {
		return reply, errGone{err}
	}
	if !slices.Contains(want, reply.Status) {
		w.t.Errorf("%s: status %d, want %v\n%s", reply.Asked, reply.Status, want, reply.Excerpt())
		return reply, errGone{fmt.Errorf("status %d", reply.Status)}
	}
	return reply, nil
}

// change runs a request that changes r. While it is under way, what apply does may be true or not; once answered, it is.
func (w *writer) change(r *repo, what string, apply func(facts), run func() error) error {
	apply(r.touched)
	after := r.facts.clone()
	apply(after)
	w.under = &change{what, r, after}
	if err := run(); err != nil {
		return err
	}
	r.facts, w.under = after, nil
	w.changes++
	return nil
}

func (w *writer) newPiece() piece {
	w.next++
	var size int
	switch w.random.IntN(10) {
	case 0, 1, 2, 3:
		size = 2 + w.random.IntN(2<<10)
	case 4, 5:
		size = 16<<10 - 2 + w.random.IntN(5) // where content moves from the index to files
	case 6, 7:
		size = 17<<10 + w.random.IntN(200<<10)
	case 8:
		size = 256<<10 + w.random.IntN(1<<20)
	default:
		size = 1<<20 + w.random.IntN(7<<20)
	}
	return newPiece(uint64(w.number)<<40|w.next, size)
}

// somePiece is new content, or sometimes what somebody has pushed before, here or elsewhere.
func (w *writer) somePiece() piece {
	if w.random.IntN(4) == 0 {
		if k, ok := w.common.place(w.random); ok {
			return k.piece
		}
	}
	return w.newPiece()
}

func (w *writer) holds(r *repo, p piece, run func() error) error {
	r.pieces[p.digest] = p
	err := w.change(r, "push of blob "+p.digest.String(), func(f facts) { f.blobs[p.digest] = true }, run)
	if err == nil {
		w.common.put(known{r.name, p})
	}
	return err
}

func (w *writer) pushWhole(r *repo) error {
	p := w.somePiece()
	return w.holds(r, p, func() error {
		_, err := w.ask("POST", wire.With(wire.UploadsPath(r.name), "digest", p.digest.String()), p.bytes(), []int{201}, "Content-Type", wire.Octets)
		return err
	})
}

func (w *writer) begin(r *repo) (string, error) {
	reply, err := w.ask("POST", wire.UploadsPath(r.name), []byte{}, []int{202})
	return reply.Header.Get("Location"), err
}

func (w *writer) pushInOne(r *repo) error {
	p := w.somePiece()
	location, err := w.begin(r)
	if err != nil {
		return err
	}
	return w.holds(r, p, func() error {
		_, err := w.ask("PUT", wire.With(location, "digest", p.digest.String()), p.bytes(), []int{201}, "Content-Type", wire.Octets)
		return err
	})
}

func (w *writer) pushChunks(r *repo) error {
	o, err := w.openUpload(r)
	for err == nil && o.size < o.piece.size*2/3 && o.piece.size-o.size >= 4 { // patch leaves the last few bytes to finish
		err = w.patch(o)
	}
	if err != nil {
		return err
	}
	return w.finish(o)
}

// openUpload begins an upload; from now on it is in the books.
func (w *writer) openUpload(r *repo) (*opened, error) {
	o := &opened{repo: r, piece: w.newPiece()}
	location, err := w.begin(r)
	if err != nil {
		return nil, err
	}
	o.location = location
	w.open = append(w.open, o)
	return o, nil
}

// patch sends the next chunk, at least two bytes, and leaves some for the end.
func (w *writer) patch(o *opened) error {
	rest := o.piece.size - o.size
	if rest < 4 {
		return nil
	}
	o.sending = 2 + w.random.IntN(rest-2)
	chunk := o.piece.bytes()[o.size : o.size+o.sending]
	_, err := w.ask("PATCH", o.location, chunk, []int{202}, "Content-Type", wire.Octets, "Content-Range", wire.Span(o.size, chunk))
	if err == nil {
		o.size, o.sending = o.size+o.sending, 0
	}
	return err
}

// finish sends what is left and closes the upload. One that was interrupted while it was closed may be gone: then it is pushed anew.
func (w *writer) finish(o *opened) error {
	again := o.finishing
	o.finishing, o.sending = true, o.piece.size-o.size
	want := []int{201}
	if again {
		want = []int{201, 404}
	}
	return w.holds(o.repo, o.piece, func() error {
		reply, err := w.ask("PUT", wire.With(o.location, "digest", o.piece.digest.String()), o.piece.bytes()[o.size:], want, "Content-Type", wire.Octets)
		if err == nil && reply.Status == 404 {
			_, err = w.ask("POST", wire.With(wire.UploadsPath(o.repo.name), "digest", o.piece.digest.String()), o.piece.bytes(), []int{201}, "Content-Type", wire.Octets)
		}
		if err == nil {
			w.forget(o)
		}
		return err
	})
}

func (w *writer) forget(o *opened) {
	w.open = slices.DeleteFunc(w.open, func(x *opened) bool { return x == o })
}

func (w *writer) leaveOpen(r *repo) error {
	if len(w.open) >= 6 {
		return w.goOn(r)
	}
	o, err := w.openUpload(r)
	if err != nil {
		return err
	}
	return w.patch(o)
}

// goOn takes an upload that was left open, perhaps by a program that died since, a step further or to its end, or cancels it.
func (w *writer) goOn(*repo) error {
	if len(w.open) == 0 {
		return nil
	}
	o := w.open[w.random.IntN(len(w.open))]
	switch {
	case o.finishing || w.random.IntN(2) == 0:
		return w.finish(o)
	case w.random.IntN(4) == 0:
		w.forget(o) // whether it is there or not is of no more interest
		_, err := w.ask("DELETE", o.location, nil, []int{204})
		return err
	}
	return w.patch(o)
}

// pushImage pushes a manifest of blobs that the repository holds: by tag, by digest, or by digest with tags.
func (w *writer) pushImage(r *repo) error {
	held := here(r.blobs)
	if len(held) == 0 {
		return w.pushWhole(r)
	}
	var parts []piece
	for range 1 + w.random.IntN(4) {
		parts = append(parts, r.pieces[held[w.random.IntN(len(held))]])
	}
	w.next++
	body := image(fmt.Sprintf("%d-%d", w.number, w.next), parts[0], parts[1:]...)
	return w.putManifest(r, body)
}

func (w *writer) putManifest(r *repo, body []byte) error {
	d := digest.FromBytes(body)
	r.bodies[d] = body
	var tags []string
	target := wire.ManifestPath(r.name, d)
	switch w.random.IntN(3) {
	case 0:
		tags = []string{w.tag()}
		target = wire.ManifestPath(r.name, tags[0])
	case 1:
		for range 1 + w.random.IntN(4) {
			if tag := w.tag(); !slices.Contains(tags, tag) {
				tags = append(tags, tag)
			}
		}
		for _, tag := range tags {
			target = wire.With(target, "tag", tag)
		}
	}
	return w.change(r, "push of manifest "+d.String()+" "+strings.Join(tags, " "), func(f facts) {
		f.manifests[d] = true
		for _, tag := range tags {
			f.tags[tag] = d
		}
	}, func() error {
		_, err := w.ask("PUT", target, body, []int{201}, "Content-Type", ocispec.MediaTypeImageManifest)
		return err
	})
}

func (w *writer) tag() string { return fmt.Sprintf("v%d", w.random.IntN(12)) }

func (w *writer) moveTag(r *repo) error {
	all := here(r.manifests)
	if len(all) == 0 {
		return w.pushImage(r)
	}
	// A manifest can be tagged again only while all that it names is held.
	body := r.bodies[all[w.random.IntN(len(all))]]
	for d, held := range r.blobs {
		if !held && bytes.Contains(body, []byte(d)) {
			return w.pushImage(r)
		}
	}
	return w.putManifest(r, body)
}

func (w *writer) deleteTag(r *repo) error {
	for _, tag := range slices.Sorted(maps.Keys(r.tags)) {
		if r.tags[tag] == "" || w.random.IntN(2) == 0 {
			continue
		}
		return w.change(r, "deletion of tag "+tag, func(f facts) { f.tags[tag] = "" }, func() error {
			_, err := w.ask("DELETE", wire.ManifestPath(r.name, tag), nil, []int{202})
			return err
		})
	}
	return nil
}

func (w *writer) deleteManifest(r *repo) error {
	all := here(r.manifests)
	if len(all) < 3 {
		return nil
	}
	d := all[w.random.IntN(len(all))]
	named := []string{}
	for tag, to := range r.tags {
		if to == d {
			named = append(named, tag)
		}
	}
	return w.change(r, "deletion of manifest "+d.String(), func(f facts) {
		f.manifests[d] = false
		for _, tag := range named {
			f.tags[tag] = ""
		}
	}, func() error {
		_, err := w.ask("DELETE", wire.ManifestPath(r.name, d), nil, []int{202})
		return err
	})
}

func (w *writer) deleteBlob(r *repo) error {
	held := here(r.blobs)
	if len(held) < 3 {
		return nil
	}
	d := held[w.random.IntN(len(held))]
	return w.change(r, "deletion of blob "+d.String(), func(f facts) { f.blobs[d] = false }, func() error {
		_, err := w.ask("DELETE", wire.BlobPath(r.name, d), nil, []int{202})
		return err
	})
}

// mount takes a blob from where somebody has put it. It may be gone from there: then an upload begins instead, and is left alone.
func (w *writer) mount(r *repo) error {
	k, ok := w.common.place(w.random)
	if !ok || r.blobs[k.piece.digest] {
		return nil
	}
	r.pieces[k.piece.digest] = k.piece
	query := url.Values{"mount": {k.piece.digest.String()}, "from": {k.repo}}
	mounted := false
	before, had := r.blobs[k.piece.digest]
	err := w.change(r, "mount of blob "+k.piece.digest.String(), func(f facts) { f.blobs[k.piece.digest] = true }, func() error {
		reply, err := w.ask("POST", wire.UploadsPath(r.name)+"?"+query.Encode(), []byte{}, []int{201, 202})
		mounted = reply.Status == 201
		return err
	})
	if err == nil && !mounted {
		if r.blobs[k.piece.digest] = before; !had {
			delete(r.blobs, k.piece.digest)
			delete(r.touched.blobs, k.piece.digest)
		}
	}
	return err
}

// pushLie sends content under a digest that is not its own. It must be refused, and never be there.
func (w *writer) pushLie(r *repo) error {
	p, lie := w.newPiece(), w.newPiece()
	r.pieces[lie.digest], r.blobs[lie.digest], r.touched.blobs[lie.digest] = lie, false, true
	_, err := w.ask("POST", wire.With(wire.UploadsPath(r.name), "digest", lie.digest.String()), p.bytes(), []int{400}, "Content-Type", wire.Octets)
	return err
}

// fight pushes an image into the common repository and lets the tag that all want name it.
func (w *writer) fight(*repo) error {
	w.next++
	body := image(fmt.Sprintf("fight %d-%d", w.number, w.next), w.config)
	d := digest.FromBytes(body)
	c := w.common
	c.mu.Lock()
	c.bodies[d], c.images[d] = body, false
	c.mu.Unlock()
	m := move{to: d, began: time.Now()}
	_, err := w.ask("PUT", wire.ManifestPath(sharedRepo, hotTag), body, []int{201}, "Content-Type", ocispec.MediaTypeImageManifest)
	m.ended, m.answered = time.Now(), err == nil
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moves = append(c.moves, m)
	if m.answered {
		c.images[d] = true
		w.changes++
	}
	return err
}
