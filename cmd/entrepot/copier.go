package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

const (
	copiers       = 4         // blobs under way at once
	attempts      = 4         // for one piece of content
	manifestCount = 10000     // manifests that one tag may lead to
	manifestBytes = 128 << 20 // what they may weigh together; they are held until they are sent
)

// copier copies what a tag leads to: first every blob, a few at once, then the manifests, each after all that it names. Whoever looks
// at the target meanwhile sees the old state or the new, and a copy that was interrupted goes on where it was when it is repeated.
type copier struct {
	from      origin
	to        target
	referrers bool
	lanes     int
	progress  *progress
	seen      map[digest.Digest]bool // all that has been planned, for this tag or an earlier one
}

// step is a manifest to be written.
type step struct {
	desc    ocispec.Descriptor
	content []byte
	listed  bool // it is found by itself, and not through another manifest
}

// plan is what has to be moved.
type plan struct {
	blobs  []ocispec.Descriptor
	steps  []step // children before their index, subjects before their referrers
	weight int64  // of the manifests that are held
	count  int
}

func (c *copier) copy(ctx context.Context, root ocispec.Descriptor, name string) error {
	p := new(plan)
	if err := c.survey(ctx, p, root, true); err != nil {
		return err
	}
	c.progress.expect(p.blobs)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.lanes)
	for _, d := range p.blobs {
		g.Go(func() error { return c.blob(gctx, d) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	written := false
	for _, s := range p.steps {
		tag := ""
		if s.desc.Digest == root.Digest {
			tag, written = name, true
		}
		if err := c.write(ctx, s, tag, "copied"); err != nil {
			return err
		}
	}
	if _, isRegistry := c.to.(*remoteStore); written || name == "" && isRegistry {
		return nil
	}
	// The content is there already; what is missing is its tag, or its entry in a layout's index.
	content, err := fetchBytes(ctx, c.from, root, manifestLimit)
	if err != nil {
		return explain(err, "read %s", root.Digest)
	}
	return c.write(ctx, step{desc: root, content: content, listed: true}, name, "tagged")
}

// survey adds d and all below it to the plan. A manifest that the target has is not written again, and neither are its blobs: they
// came before it.
func (c *copier) survey(ctx context.Context, p *plan, d ocispec.Descriptor, listed bool) error {
	if c.seen[d.Digest] {
		return nil
	}
	c.seen[d.Digest] = true
	if p.count++; p.count > manifestCount {
		return fmt.Errorf("it leads to more than %d manifests", manifestCount)
	}
	present, err := c.to.Exists(ctx, d)
	if err != nil {
		return explain(err, "look for %s", d.Digest)
	}
	if present && !c.referrers {
		return nil
	}
	content, err := fetchBytes(ctx, c.from, d, manifestLimit)
	if err != nil {
		return explain(err, "read manifest %s", d.Digest)
	}
	m, err := parseManifest(content)
	if err != nil {
		return fmt.Errorf("read %s: %w", d.Digest, err)
	}
	for _, child := range m.Manifests {
		if isManifestType(child.MediaType) {
			if err := c.survey(ctx, p, child, false); err != nil {
				return err
			}
		} else if !present {
			c.need(p, child)
		}
	}
	if !present {
		for _, b := range m.parts() {
			c.need(p, b)
		}
		if p.weight += int64(len(content)); p.weight > manifestBytes {
			return fmt.Errorf("its manifests weigh more than %s", humanSize(manifestBytes))
		}
		p.steps = append(p.steps, step{desc: d, content: content, listed: listed})
	}
	if !c.referrers {
		return nil
	}
	referrers, err := c.from.Referrers(ctx, d)
	if err != nil {
		return explain(err, "list what refers to %s", d.Digest)
	}
	for _, r := range referrers {
		if err := c.survey(ctx, p, r, true); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) need(p *plan, d ocispec.Descriptor) {
	// Foreign layers (Windows) are licensed to be fetched from their makers only.
	foreign := strings.Contains(d.MediaType, "nondistributable") || strings.Contains(d.MediaType, ".foreign.")
	if foreign && len(d.URLs) > 0 || c.seen[d.Digest] {
		return
	}
	c.seen[d.Digest] = true
	p.blobs = append(p.blobs, d)
}

// write writes a manifest, with its tag if it gets one, and tells of it.
func (c *copier) write(ctx context.Context, s step, tag, told string) error {
	err := again(ctx, func() error {
		if s.listed || tag != "" {
			return c.to.Publish(ctx, s.desc, s.content, tag)
		}
		return c.to.Push(ctx, s.desc, bytes.NewReader(s.content))
	})
	if err != nil {
		return explain(err, "write manifest %s", s.desc.Digest)
	}
	c.progress.note(told, s.desc)
	return nil
}

// blob brings one blob over.
func (c *copier) blob(ctx context.Context, d ocispec.Descriptor) error {
	t := c.progress.begin(d)
	outcome := ""
	err := again(ctx, func() (err error) {
		t.restart()
		outcome, err = c.bring(ctx, d, t)
		return err
	})
	t.end(outcome, err)
	return explain(err, "copy %s", d.Digest)
}

func (c *copier) bring(ctx context.Context, d ocispec.Descriptor, t *transfer) (outcome string, err error) {
	var reading *checked
	open := func() (io.ReadCloser, error) {
		r, err := c.from.Fetch(ctx, d)
		if err != nil {
			return nil, err
		}
		reading = check(t.count(r), d)
		return readCloser{reading, r}, nil
	}
	// Whoever was reading reports what he was told; the reader itself knows better what was wrong.
	blame := func(err error) error {
		if err != nil && reading != nil && reading.err != nil && !errors.Is(reading.err, io.EOF) {
			return reading.err
		}
		return err
	}
	if remote, ok := c.to.(*remoteStore); ok {
		if repo, ok := remote.mountFrom(c.from); ok {
			err := remote.mount(ctx, d, repo, open)
			if err == nil && reading == nil {
				return "mounted", nil
			}
			var refused *errcode.ErrorResponse
			if err == nil || reading != nil || !errors.As(err, &refused) || refused.StatusCode >= 500 {
				return "copied", blame(err)
			}
			// Some registries refuse a mount that they could have declined.
		}
	}
	if there, err := c.to.Exists(ctx, d); err != nil || there {
		return "present", err
	}
	r, err := open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	return "copied", blame(c.to.Push(ctx, d, r))
}

// again repeats do a bounded number of times while its fault may pass.
func again(ctx context.Context, do func() error) error {
	wait := 200 * time.Millisecond
	for n := 1; ; n++ {
		err := do()
		if err == nil || n == attempts || ctx.Err() != nil || !passing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait *= 2
	}
}

// readCloser reads from one thing and closes another.
type readCloser struct {
	io.Reader
	io.Closer
}

// sortedTags returns tags in order, each once.
func sortedTags(tags []string) []string {
	slices.Sort(tags)
	return slices.Compact(tags)
}
