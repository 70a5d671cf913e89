package upstreamtest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Request is one that has come.
type Request struct {
	Method, Path  string
	Query         url.Values
	Range         string
	Authorization string
	Header        http.Header
	Kind          string // blobs, manifests, tags, referrers, token, ping, or empty
	Repo, Ref     string
	Nth           int // counts those of this method and path: the first is 1
}

// record writes a request down.
func (u *Upstream) record(r *http.Request) Request {
	q := Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Range: r.Header.Get("Range"),
		Authorization: r.Header.Get("Authorization"), Header: r.Header.Clone()}
	q.Kind, q.Repo, q.Ref = split(r.URL.Path)
	u.mu.Lock()
	defer u.mu.Unlock()
	q.Nth = 1
	for _, before := range u.requests {
		if before.Method == q.Method && before.Path == q.Path {
			q.Nth++
		}
	}
	u.requests = append(u.requests, q)
	return q
}

// split reads a path from the right.
func split(path string) (kind, repo, ref string) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	switch {
	case path == "/token":
		return "token", "", ""
	case ok && rest == "":
		return "ping", "", ""
	case !ok:
		return "", "", ""
	}
	if repo, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		return "tags", repo, ""
	}
	parts := strings.Split(rest, "/")
	if n := len(parts); n >= 3 && slices.Contains([]string{"blobs", "manifests", "referrers"}, parts[n-2]) {
		return parts[n-2], strings.Join(parts[:n-2], "/"), parts[n-1]
	}
	return "", "", ""
}

// Requests returns all requests so far, in order.
func (u *Upstream) Requests() []Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.requests)
}

// Count tells how many requests there were: of a method, on a path, and with one of the ranges (none given: with any, or without); empty is any.
func (u *Upstream) Count(method, path string, ranges ...string) int {
	n := 0
	for _, r := range u.Requests() {
		if (method == "" || r.Method == method) && (path == "" || r.Path == path) && (len(ranges) == 0 || slices.Contains(ranges, r.Range)) {
			n++
		}
	}
	return n
}

// Asked tells how many requests there were about a kind of things (see [Request]).
func (u *Upstream) Asked(kind string) int {
	n := 0
	for _, r := range u.Requests() {
		if r.Kind == kind {
			n++
		}
	}
	return n
}

// Authorizations returns the Authorization headers that came, in order, without the requests that had none.
func (u *Upstream) Authorizations() []string {
	var all []string
	for _, r := range u.Requests() {
		if r.Authorization != "" {
			all = append(all, r.Authorization)
		}
	}
	return all
}

// Forget forgets the requests so far.
func (u *Upstream) Forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.requests = nil
}
