package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot/entrepot/registry"
)

// move is one repository on its way.
type move struct {
	*run
	from, to string // what it is called there and here
	nodes    map[digest.Digest]*node
	lists    map[digest.Digest]bool // tagged lists of referrers, which do not come
}

// node is a manifest of the repository, with all that it is made of brought, or the reason why that cannot be.
type node struct {
	desc ocispec.Descriptor
	body []byte // until it is stored
	here bool
	err  error
}

// tag moves a tag, with what it names.
func (m *move) tag(ctx context.Context, tag string) {
	what := "tag " + tag
	if !registry.ValidTag(tag) {
		m.fail(m.from, "tag", fmt.Errorf("%.140q is no tag", tag))
		return
	}
	var there, here digest.Digest
	err := m.again(ctx, func() (err error) {
		if there, err = m.From.Resolve(ctx, m.from, tag); err == nil {
			here, err = m.To.Resolve(ctx, m.to, tag)
		}
		return err
	})
	if err != nil {
		m.fail(m.from, what, err)
		return
	}
	if found := tagged.FindStringSubmatch(tag); found != nil && found[2] == "" && m.listed(ctx, there) {
		return
	}
	if here != "" && here != there && !m.Overwrite {
		m.fail(m.from, what, fmt.Errorf("it names %s there and %s here, and stays; if the source is to win, ask for that (overwrite)", there, here))
		return
	}
	set := tag
	if here == there {
		set = ""
	}
	if err := m.manifest(ctx, there, set, 0); err != nil {
		switch n := m.nodes[there]; {
		case errors.Is(err, ErrAbsent):
			err = fmt.Errorf("it names %s, which is not there any more", there)
		case ctx.Err() == nil && n != nil && n.err == nil && registry.Code(err) != registry.Full && !m.Passing(err):
			// The tag alone may be what is refused: who pulls by digest gets what it named all the same. What is wrong with it otherwise, was said.
			_ = m.manifest(ctx, there, "", 0)
		}
		m.fail(m.from, what, err)
		return
	}
	m.count(m.from, func(r *Report) {
		if set == "" {
			r.Here.Tags++
		} else {
			r.Came.Tags++
		}
	})
}

// listed moves what a list of referrers lists, and not the list: this registry makes its own, and one that was tagged would grow old. It tells whether it was one.
func (m *move) listed(ctx context.Context, d digest.Digest) bool {
	var mediaType string
	var body []byte
	err := m.again(ctx, func() (err error) {
		mediaType, body, err = m.From.Manifest(ctx, m.from, d)
		return err
	})
	if err != nil {
		return false
	}
	index, err := registry.ParseManifest(mediaType, d, body)
	if err != nil || !index.Index() {
		return false
	}
	for _, child := range index.Manifests {
		if err := m.manifest(ctx, child.Digest, "", 1); err != nil && !errors.Is(err, ErrAbsent) {
			m.fail(m.from, "referrer "+string(child.Digest), err)
		}
	}
	m.lists[d] = true
	m.count(m.from, func(r *Report) { r.Lists++ })
	return true
}

// untagged moves what no tag leads to.
func (m *move) untagged(ctx context.Context, from Lister) {
	for d, err := range from.Manifests(ctx, m.from) {
		if ctx.Err() != nil || m.stopped() != nil {
			return
		}
		if err == nil && m.nodes[d] == nil && !m.lists[d] { // what was tried before has been told of
			err = m.manifest(ctx, d, "", 0)
		}
		if err != nil {
			m.fail(m.from, "manifest "+string(d), err)
		}
	}
}

// manifest moves a manifest, with all that it is made of and, where the source does not know all its manifests, what refers to it. A tag that is not empty is set.
func (m *move) manifest(ctx context.Context, d digest.Digest, tag string, depth int) error {
	n := m.nodes[d]
	fresh := n == nil
	if fresh {
		n = m.load(ctx, d, depth)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.nodes[d] = n
	}
	if n.err != nil {
		return n.err
	}
	if !n.here || tag != "" {
		if err := m.put(ctx, n, tag); err != nil {
			return err
		}
	}
	if fresh && !m.comesAnyway() {
		m.referrers(ctx, n.desc, depth)
	}
	return nil
}

// comesAnyway tells whether what refers to something is among what comes without being looked for.
func (m *move) comesAnyway() bool {
	_, lister := m.From.(Lister)
	return lister && m.whole()
}

// load brings all that a manifest is made of.
func (m *move) load(ctx context.Context, d digest.Digest, depth int) *node {
	if depth > maxDepth {
		return &node{err: fmt.Errorf("manifests lead to one another more than %d deep", maxDepth)}
	}
	n := new(node)
	var mediaType string
	n.err = m.again(ctx, func() (err error) {
		mediaType, n.body, err = m.To.Manifest(ctx, m.to, d)
		if n.here = err == nil; errors.Is(err, ErrAbsent) {
			mediaType, n.body, err = m.From.Manifest(ctx, m.from, d)
		}
		return err
	})
	if n.err != nil {
		return n
	}
	parsed, err := registry.ParseManifest(mediaType, d, n.body)
	if err != nil {
		n.err = err
		if old(n.body) {
			n.err = errors.New("it is in Docker's first form of manifests (schema 1), which no current client reads; build the image anew")
		}
		return n
	}
	n.desc = parsed.Descriptor
	children, blobs := parts(parsed)
	if !n.here {
		n.err = m.blobs(ctx, blobs)
	}
	for _, child := range children {
		// A list may name platforms that nobody has; it is moved as it is.
		if err := m.manifest(ctx, child.Digest, "", depth+1); err != nil && !errors.Is(err, ErrAbsent) && n.err == nil {
			n.err = fmt.Errorf("manifest %s in it: %w", child.Digest, err)
		}
	}
	if n.here {
		n.body = nil
		m.count(m.from, func(r *Report) { r.Here.Manifests++ })
	}
	return n
}

// old tells whether a manifest is in Docker's first form.
func old(body []byte) bool {
	var m struct{ SchemaVersion int }
	return json.Unmarshal(body, &m) == nil && m.SchemaVersion == 1
}

// parts tells what a manifest is made of. Layers that may not be distributed lie elsewhere, and whoever pulls gets them there.
func parts(p *registry.Manifest) (children, blobs []ocispec.Descriptor) {
	seen := map[digest.Digest]bool{}
	add := func(to *[]ocispec.Descriptor, d ocispec.Descriptor) {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			*to = append(*to, d)
		}
	}
	if p.Config != nil {
		add(&blobs, *p.Config)
		for _, l := range p.Layers {
			if !strings.Contains(l.MediaType, ".nondistributable.") && !strings.Contains(l.MediaType, ".foreign.") {
				add(&blobs, l)
			}
		}
	}
	for _, child := range p.Manifests {
		switch child.MediaType {
		case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, registry.TypeDockerManifest, registry.TypeDockerList:
			add(&children, child)
		default: // lists of a build cache name blobs
			add(&blobs, child)
		}
	}
	return children, blobs
}

// put stores a manifest, and sets a tag if one is named.
func (m *move) put(ctx context.Context, n *node, tag string) error {
	came := !n.here
	if !m.DryRun {
		err := m.again(ctx, func() (err error) {
			if n.body == nil { // it was stored before
				_, n.body, err = m.To.Manifest(ctx, m.to, n.desc.Digest)
			}
			if err == nil {
				err = m.To.Put(ctx, m.to, tag, n.desc, n.body)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	n.here, n.body = true, nil
	if came {
		m.count(m.from, func(r *Report) { r.Came.Manifests++ })
	}
	return nil
}

// referrers moves what refers to a manifest. What fails of it is told of, and stops nothing.
func (m *move) referrers(ctx context.Context, d ocispec.Descriptor, depth int) {
	var all []digest.Digest
	err := m.again(ctx, func() (err error) {
		all, err = m.From.Referrers(ctx, m.from, d)
		return err
	})
	if err != nil {
		m.fail(m.from, "referrers of "+string(d.Digest), err)
	}
	for _, one := range all {
		if ctx.Err() != nil || m.stopped() != nil {
			return
		}
		if m.nodes[one] != nil {
			continue
		}
		if err := m.manifest(ctx, one, "", depth+1); err != nil {
			m.fail(m.from, "referrer "+string(one), err)
		}
	}
}

// blobs brings blobs, a few at once. The first that fails is told of; the others come all the same, and are here when the move is repeated.
func (m *move) blobs(ctx context.Context, all []ocispec.Descriptor) error {
	outcomes := make([]error, len(all))
	var g errgroup.Group
	g.SetLimit(m.Lanes)
	for i, d := range all {
		g.Go(func() error {
			if outcomes[i] = ctx.Err(); outcomes[i] == nil {
				outcomes[i] = m.blob(ctx, d)
			}
			return nil
		})
	}
	_ = g.Wait() // what failed is in the list
	for i, err := range outcomes {
		if err != nil {
			return fmt.Errorf("blob %s: %w", all[i].Digest, err)
		}
	}
	return nil
}

func (m *move) blob(ctx context.Context, d ocispec.Descriptor) error {
	near := m.near(d.Digest)
	if near == m.to {
		return nil
	}
	if m.DryRun {
		return m.foresee(ctx, d, near)
	}
	var how How
	err := m.again(ctx, func() (err error) {
		how, err = m.To.Bring(ctx, m.to, d, near, func() (io.ReadCloser, error) { return m.From.Blob(ctx, m.from, d) })
		return err
	})
	if err == nil {
		m.arrived(d, how)
	}
	return err
}

// foresee counts what would come of a blob.
func (m *move) foresee(ctx context.Context, d ocispec.Descriptor, near string) error {
	if near != "" {
		m.arrived(d, Mounted)
		return nil
	}
	has, how := false, Copied
	err := m.again(ctx, func() (err error) {
		has, err = m.To.Has(ctx, m.to, d)
		return err
	})
	if has {
		how = Here
	}
	if err == nil {
		m.arrived(d, how)
	}
	return err
}

// near returns a repository here that has a blob.
func (m *move) near(d digest.Digest) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seat[d]
}

func (m *move) arrived(d ocispec.Descriptor, how How) {
	m.count(m.from, func(r *Report) {
		if len(m.seat) < maxSeats {
			m.seat[d.Digest] = m.to
		}
		if how == Here {
			r.Here.Blobs++
			r.Here.Bytes += d.Size
			return
		}
		r.Came.Blobs++
		switch how {
		case Mounted:
			r.Mounted++
			return // no bytes
		case Linked:
			r.Linked++
		case Duplicated:
			r.Duplicated++
		}
		r.Came.Bytes += d.Size
	})
}
