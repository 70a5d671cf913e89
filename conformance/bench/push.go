package main

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
)

// small bodies go out in one write with their request.
const small = 64 * kib

// push pushes a blob as clients do: POST, then PUT with everything, or with chunk set one PATCH for each chunk and an empty PUT.
func (c *conn) push(repo string, b blob, chunk int64) error {
	target := "/v2/" + repo + "/blobs/uploads/"
	res, err := c.expect(202, c.request("POST", target, "Content-Length: 0"), nil)
	if err != nil {
		return err
	}
	var from int64
	for chunk > 0 && from < b.size {
		if target, err = follow(c.addr, target, res); err != nil {
			return err
		}
		to := min(from+chunk, b.size)
		span := "Content-Range: " + strconv.FormatInt(from, 10) + "-" + strconv.FormatInt(to-1, 10)
		if res, err = c.with(202, b, from, to, "PATCH", target, span); err != nil {
			return err
		}
		from = to
	}
	if target, err = follow(c.addr, target, res); err != nil {
		return err
	}
	_, err = c.with(201, b, from, b.size, "PUT", withDigest(target, b.digest))
	return err
}

// pushAtOnce pushes a blob by a single POST.
func (c *conn) pushAtOnce(repo string, b blob) error {
	_, err := c.with(201, b, 0, b.size, "POST", withDigest("/v2/"+repo+"/blobs/uploads/", b.digest))
	return err
}

// with sends a request whose body is a part of a blob.
func (c *conn) with(status int, b blob, from, to int64, method, target string, headers ...string) (*response, error) {
	headers = append(headers, "Content-Type: application/octet-stream", "Content-Length: "+strconv.FormatInt(to-from, 10))
	req := c.request(method, target, headers...)
	if to-from > small {
		return c.expect(status, req, func(w io.Writer) error { return b.write(w, from, to) })
	}
	whole := bytes.NewBuffer(req)
	_ = b.write(whole, from, to)
	c.out = whole.Bytes()
	return c.expect(status, c.out, nil)
}

// mount makes a blob of another repository known in this one, and pushes it where the server does not mount.
func (c *conn) mount(repo, from string, b blob) error {
	target := "/v2/" + repo + "/blobs/uploads/?mount=" + url.QueryEscape(b.digest) + "&from=" + url.QueryEscape(from)
	res, err := c.send(c.request("POST", target, "Content-Length: 0"), nil)
	if err != nil || res.status == 201 {
		return err
	}
	return c.push(repo, b, 0)
}

// tag puts a manifest under a tag or its digest.
func (c *conn) tag(repo, reference string, manifest []byte) error {
	c.request("PUT", "/v2/"+repo+"/manifests/"+reference, "Content-Type: "+imageType, "Content-Length: "+strconv.Itoa(len(manifest)))
	c.out = append(c.out, manifest...)
	_, err := c.expect(201, c.out, nil)
	return err
}

// request puts the head of a request into the connection's own buffer.
func (c *conn) request(method, target string, headers ...string) []byte {
	c.out = request(c.out[:0], c.addr, method, target, headers...)
	return c.out
}

// follow returns the target that an answer's Location names: opaque, absolute or relative, with a query or without.
func follow(addr, target string, res *response) (string, error) {
	location := res.get("Location")
	if location == "" {
		return "", fmt.Errorf("%s: answer %d has no Location", target, res.status)
	}
	return resolve(addr, target, location)
}

// resolve resolves a reference that was found in the answer to a request for target. It must stay on the server.
func resolve(addr, target, reference string) (string, error) {
	base, err := url.Parse("http://" + addr + target)
	if err != nil {
		return "", err
	}
	u, err := base.Parse(reference)
	if err != nil {
		return "", err
	}
	if u.Host != addr {
		return "", fmt.Errorf("%s: leads to another server, %s", target, u.Host)
	}
	return u.RequestURI(), nil
}

// withDigest adds the digest to a target's query, and leaves the rest as it is.
func withDigest(target, digest string) string {
	sep := "?"
	if strings.Contains(target, "?") {
		sep = "&"
	}
	return target + sep + "digest=" + url.QueryEscape(digest)
}
