package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
)

// listing is a list that is walked to its end, following the links from page to page.
type listing struct {
	target string
	count  func(body []byte) int // entries of a page, without decoding it: that would cost more than the server's work
	want   int
	losses bool // entries may be wanting: they are counted instead of refused
}

// walk returns how many entries and pages there are.
func (l listing) walk(c *conn) (entries, pages int, err error) {
	for target := l.target; ; pages++ {
		res, err := c.expect(200, c.request("GET", target), nil)
		if err != nil {
			return entries, pages, err
		}
		entries += l.count(res.body)
		next := nextPage(res.get("Link"))
		if next == "" {
			return entries, pages + 1, nil
		}
		if pages > 1_000_000 {
			return entries, pages, fmt.Errorf("%s: the pages do not end", l.target)
		}
		if target, err = resolve(c.addr, target, next); err != nil {
			return entries, pages, err
		}
	}
}

// nextPage returns the reference of a Link header with rel="next", or "".
func nextPage(link string) string {
	ref, params, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !ok || !strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
		return ""
	}
	return ref
}

// countTags counts the strings of {"name":"…","tags":["…"]}.
func countTags(body []byte) int { return bytes.Count(body, []byte(`"`))/2 - 3 }

// countRepos counts the strings of {"repositories":["…"]}.
func countRepos(body []byte) int { return bytes.Count(body, []byte(`"`))/2 - 1 }

// countDescriptors counts the descriptors of an index.
func countDescriptors(body []byte) int { return bytes.Count(body, []byte(`"digest"`)) }

// walks walks a list again and again on one connection.
func (s *site) walks(ctx context.Context, of listing) (measure, error) {
	var found, pages int
	l := load{conns: 1, time: s.opt.time(1), keep: true, do: func(w *worker) (n int64, err error) {
		found, pages, err = of.walk(w.conn)
		if err == nil && found != of.want && !of.losses {
			err = fmt.Errorf("%s lists %d, want %d", of.target, found, of.want)
		}
		return 0, err
	}}
	if of.losses && !s.hasReferrers() {
		return nil, errAbsent
	}
	m, err := l.run(ctx, s.server)
	if err != nil {
		return nil, err
	}
	m[page] = m[p50] / float64(pages)
	if of.losses {
		m[lost] = float64(of.want - found)
	}
	return m, nil
}
