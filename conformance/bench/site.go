package main

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
)

// site is a server with what was put into it.
type site struct {
	*server
	opt  *options
	img  image             // config and layer are in repo and can be mounted from there
	put  map[string]string // manifests and credentials by the names that the scenarios use
	blob map[int64]string  // digests of blobs by size

	supplies map[int64]*supply
	tokens   func(ctx context.Context, n int) ([]string, error) // makes tokens to read repo, where the server wants them
	attempts atomic.Int64                                       // to log in with a password

	loose int // blobs that no manifest is to name

	far  *far     // what is pulled through
	near farImage // an image of the same size that was pushed here, where the server takes pushes beside
}

// repo holds what is not said to be elsewhere.
const repo = "bench/app"

// stock is a state in which servers are measured. Scenarios that name the same stock share servers, in the order of the table.
type stock struct {
	name string
	fill func(ctx context.Context, s *site) error
}

var (
	nothing   = &stock{"nothing", nil}
	fewThings = &stock{"few things", func(ctx context.Context, s *site) error {
		if err := s.addTags(ctx, repo, 10); err != nil {
			return err
		}
		return s.addBlob(ctx, 10*mib)
	}}
	bigBlob = &stock{"a blob of 1 GiB", func(ctx context.Context, s *site) error { return s.addBlob(ctx, gib) }}
	// manyTags: each tag is another manifest.
	manyTags = &stock{"many tags", func(ctx context.Context, s *site) error {
		if err := s.addTags(ctx, repo, s.opt.tags); err != nil {
			return err
		}
		return s.addTags(ctx, fewRepo, 10)
	}}
	manyRepos = &stock{"many repositories", func(ctx context.Context, s *site) error {
		manifest := s.img.manifest()
		// The catalog shall hold catalogSize with the one that the image is mounted from.
		if err := s.addTags(ctx, repo, 1); err != nil {
			return err
		}
		return spread(ctx, s.server, catalogSize-1, func(c *conn, i int) error {
			name := fmt.Sprintf("bench/many-%05d", i)
			if err := s.mountImage(c, name); err != nil {
				return err
			}
			return c.tag(name, "latest", manifest)
		})
	}}
	manyReferrers = &stock{"many referrers", func(ctx context.Context, s *site) error {
		subject := s.img.manifest()
		if err := spread(ctx, s.server, 1, func(c *conn, _ int) error { return c.tag(repo, "subject", subject) }); err != nil {
			return err
		}
		s.put["subject"] = digest(subject)
		if !s.hasReferrers() {
			return nil
		}
		return spread(ctx, s.server, referrersSize, func(c *conn, _ int) error {
			m := s.img.referrer(subject)
			return c.tag(repo, digest(m), m)
		})
	}}
)

const (
	fewRepo       = "bench/few"
	catalogSize   = 2000
	referrersSize = 1000
)

// newSite fills a server that was just started.
func newSite(ctx context.Context, opt *options, srv *server, st *stock) (*site, error) {
	s := &site{server: srv, opt: opt, put: map[string]string{}, blob: map[int64]string{}, supplies: map[int64]*supply{}}
	s.img = image{config: s.supply(256).next(), layer: s.supply(kib).next()}
	err := spread(ctx, srv, 1, func(c *conn, _ int) error {
		if err := c.push(repo, s.img.config, 0); err != nil {
			return err
		}
		return c.push(repo, s.img.layer, 0)
	})
	if err == nil && st.fill != nil {
		err = st.fill(ctx, s)
	}
	if err != nil {
		return nil, fmt.Errorf("fill with %s: %w", st.name, err)
	}
	return s, nil
}

// supply returns the site's maker of blobs of a size.
func (s *site) supply(size int64) *supply {
	if s.supplies[size] == nil {
		s.supplies[size] = newSupply(size)
	}
	return s.supplies[size]
}

func (s *site) mountImage(c *conn, to string) error {
	if err := c.mount(to, repo, s.img.config); err != nil {
		return err
	}
	return c.mount(to, repo, s.img.layer)
}

// addTags pushes n manifests, each with a tag.
func (s *site) addTags(ctx context.Context, to string, n int) error {
	err := spread(ctx, s.server, 1, func(c *conn, _ int) error { return s.mountImage(c, to) })
	if err != nil {
		return err
	}
	return spread(ctx, s.server, n, func(c *conn, i int) error { return c.tag(to, tagName(i), s.img.manifest()) })
}

func tagName(i int) string { return fmt.Sprintf("v%06d", i) }

// addBlob pushes a blob of a size, to be pulled.
func (s *site) addBlob(ctx context.Context, size int64) error {
	b := s.supply(size).next()
	s.blob[size] = b.digest
	return spread(ctx, s.server, 1, func(c *conn, _ int) error { return c.push(repo, b, 0) })
}

// hasReferrers says whether the server knows the API.
func (s *site) hasReferrers() bool {
	err := spread(context.Background(), s.server, 1, func(c *conn, _ int) error {
		_, err := c.expect(200, c.request("GET", "/v2/"+repo+"/referrers/"+s.put["subject"]), nil)
		return err
	})
	return err == nil
}

// get makes the request that reads a manifest by its tag.
func (s *site) get(method, from string, tag int, headers ...string) []byte {
	return request(nil, s.addr, method, "/v2/"+from+"/manifests/"+tagName(tag), append(headers, acceptManifest)...)
}

// getBlob makes the request that reads a blob.
func (s *site) getBlob(size int64, headers ...string) []byte {
	return request(nil, s.addr, "GET", "/v2/"+repo+"/blobs/"+s.blob[size], headers...)
}

// bytesRange makes a Range header.
func bytesRange(from, n int64) string {
	return "Range: bytes=" + strconv.FormatInt(from, 10) + "-" + strconv.FormatInt(from+n-1, 10)
}
