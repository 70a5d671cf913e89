package remote

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Body is a blob on its way. Close it in any case: until then, or its end, it holds a connection.
type Body struct {
	io.ReadCloser
	Size   int64 // of the whole blob; -1 if the upstream does not say
	Offset int64 // where this begins
}

// Blob opens a blob at an offset. Reads fail with io.ErrUnexpectedEOF in their chain if less comes than was announced. What breaks off is [ErrDown],
// and may be asked for again, from there on. It is not hashed: whoever reads it does that, and knows its size from a manifest.
func (r *Remote) Blob(ctx context.Context, repo string, d digest.Digest, offset int64) (Body, error) {
	q, err := r.about("get blob", repo, "blobs", string(d))
	if err != nil {
		return Body{}, err
	}
	if offset < 0 {
		return Body{}, r.nothing(q.doing, fmt.Sprintf("there is nothing before its begin, at %d", offset))
	}
	q.header.Set("Accept", "*/*")
	if offset > 0 {
		q.header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	release, err := r.slots.take(ctx, true)
	if err != nil {
		return Body{}, r.queued(q, err)
	}
	var opened Body
	err = r.each(ctx, q, func(c *call) error {
		resp, err := c.exchange()
		if err != nil {
			return err
		}
		opened, err = c.open(resp, offset, release)
		if err != nil {
			resp.Body.Close()
		}
		return err
	})
	if err != nil {
		release()
		return Body{}, err
	}
	return opened, nil
}

// open makes a body of an answer, one that begins at the offset.
func (c *call) open(resp *http.Response, offset int64, release func()) (Body, error) {
	b := &body{call: c, src: resp.Body, end: -1, room: c.config.BlobBytes, left: c.config.Timeouts.Stall}
	size := resp.ContentLength
	skip := offset
	if resp.StatusCode == http.StatusPartialContent {
		first, last, total, ok := parseRange(resp.Header.Get("Content-Range"))
		if !ok || first != offset || offset == 0 || size >= 0 && size != last-first+1 {
			return Body{}, c.bad("it answered with another range than was asked for: %q", clean(resp.Header.Get("Content-Range"), 80))
		}
		b.at, skip, size = offset, 0, total
		b.end = last + 1 // and if it is not the end of all, the reader is told
	}
	if size >= 0 {
		b.end = size
	}
	switch {
	case size > b.room:
		return Body{}, c.bad("it has %d bytes, more than the %d that are taken", size, b.room)
	case size >= 0 && size < offset:
		return Body{}, c.bad("it has %d bytes and does not reach to %d", size, offset)
	}
	b.prepare()
	if err := b.skip(skip); err != nil {
		return Body{}, err
	}
	if b.release = release; b.err != nil { // skipping came to the end, and has closed it
		release()
	}
	return Body{ReadCloser: b, Size: size, Offset: offset}, nil
}

// parseRange reads a Content-Range (RFC 9110, section 14.4): bytes 5-9/10. total is -1 where it has *.
func parseRange(s string) (first, last, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	part, whole, slash := strings.Cut(s, "/")
	from, to, dash := strings.Cut(part, "-")
	number := func(s string) int64 {
		n, err := strconv.ParseUint(s, 10, 63)
		ok = ok && err == nil
		return int64(n)
	}
	first, last, total = number(from), number(to), -1
	if whole != "*" {
		total = number(whole)
	}
	return first, last, total, ok && slash && dash && first <= last && (total < 0 || last < total)
}
