package rights

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// row is a sample of what a method of a route is asked for.
type row struct {
	route, method, variant string

	do    string   // the action that the route needs
	also  []string // those that the endpoint asks for besides
	in    []string // the places where it is asked; without any it is about no repository
	make  func(t *testing.T, c *cell) request
	there int // the status for who may, where there is something
	new   int // the same in a repository that is not there yet

	component bool // it is about components

	// answer tells what else is expected of who may do it: because what is asked for belongs to somebody, or for what was shown.
	answer func(c *cell) want
}

// request is one that was prepared: what it names is there.
type request struct {
	method, target string
	body           []byte
	headers        []string
}

// want is what is expected.
type want struct {
	status int
	code   string // in the envelope; "" is any
}

// cell is one row for one team in one place, shown in one way.
type cell struct {
	*world
	row   row
	place place
	shown ask.Caller
	way   string
}

// place is where something is asked for.
type place struct {
	name   string
	repo   string
	there  bool // it exists
	inside bool // the team's role holds there
}

// The places. A new one is the team's own, and an absent one another team's, that are not there.
var (
	everywhere = []string{"own", "new", "foreign", "absent"}
	accounts   = []string{"own", "foreign", "absent"}
)

func (w *world) place(name string) place {
	switch name {
	case "own":
		return place{name, w.own(), true, true}
	case "new":
		return place{name, "own-" + w.name() + "/" + w.next(), false, true}
	case "foreign":
		return place{name, w.foreign(), true, w.wide}
	case "absent":
		return place{name, w.absent(), false, w.wide}
	}
	return place{inside: w.wide}
}

// worker is who prepares things in a repository: the team itself where it may, so that they are its own.
func (c *cell) worker() ask.Caller {
	if c.place.inside && table[c.role]["push"] {
		return c.who
	}
	return root
}

// tag sets a new tag to a new manifest, if there is a repository.
func (c *cell) tag(t *testing.T) string {
	tag := "tag-" + c.next()
	if c.place.there {
		c.worker().Put(t, c.place.repo, tag, ask.List())
	}
	return tag
}

// upload begins an upload, if there is a repository.
func (c *cell) upload(t *testing.T) string {
	if c.place.there {
		return c.worker().Begin(t, c.place.repo)
	}
	return wire.UploadsPath(c.place.repo) + "5d9c5f40-0d0b-4c3a-8d4e-2f1f9f6f2a11"
}

func (c *cell) putting(ref string, body []byte) request {
	return request{"PUT", wire.ManifestPath(c.place.repo, ref), body, []string{"Content-Type", ocispec.MediaTypeImageIndex}}
}

// keep is the descriptor of what is in every repository that there is.
func (c *cell) keep() ocispec.Descriptor {
	return wire.Descriptor(ocispec.MediaTypeImageManifest, ask.Image(c.layer))
}

// registryRows are the samples for the routes of the registry. Those for GET are those for HEAD.
var registryRows = []row{
	{route: "ping", method: "GET", do: "enter", there: 200, make: plain("GET", "/v2/")},
	{route: "ping", method: "HEAD", do: "enter", there: 200, make: plain("HEAD", "/v2/")},
	{route: "catalog", method: "GET", do: "list", there: 200, make: plain("GET", "/v2/_catalog?n=3")},
	{route: "audit", method: "GET", do: "audit-own", there: 200, make: plain("GET", "/api/v1/audit?n=3")},
	{route: "audit-verify", method: "POST", do: "audit", there: 200, make: plain("POST", "/api/v1/audit/verify")},

	{route: "manifest", method: "GET", do: "pull", in: everywhere, there: 200, new: 404, make: in("GET", "/v2/{repo}/manifests/keep")},
	{route: "manifest", method: "GET", variant: "by digest", do: "pull", in: everywhere, there: 200, new: 404,
		make: func(_ *testing.T, c *cell) request {
			return request{method: "GET", target: wire.ManifestPath(c.place.repo, c.kept)}
		}},
	{route: "manifest", method: "PUT", variant: "new tag", do: "push", in: everywhere, there: 201, new: 201,
		make: func(_ *testing.T, c *cell) request { return c.putting("tag-"+c.next(), ask.List()) }},
	{route: "manifest", method: "PUT", variant: "moved tag", do: "push", in: everywhere, there: 201, new: 201,
		make: func(t *testing.T, c *cell) request { return c.putting(c.tag(t), ask.List()) }},
	{route: "manifest", method: "PUT", variant: "by digest with tags", do: "push", in: everywhere, there: 201, new: 201,
		make: func(t *testing.T, c *cell) request {
			body := ask.List()
			r := c.putting(digest.FromBytes(body).String(), body)
			r.target = wire.With(r.target, "tag", c.tag(t), "tag", "tag-"+c.next())
			return r
		}},
	{route: "manifest", method: "PUT", variant: "attached", do: "push", in: everywhere, there: 201, new: 201,
		make: func(_ *testing.T, c *cell) request {
			body := ask.List(c.keep())
			return c.putting(digest.FromBytes(body).String(), body)
		}},
	{route: "manifest", method: "DELETE", variant: "tag", do: "delete-own", in: everywhere, there: 202, new: 404,
		make: func(t *testing.T, c *cell) request {
			return request{method: "DELETE", target: wire.ManifestPath(c.place.repo, c.tag(t))}
		}},
	{route: "manifest", method: "DELETE", variant: "by digest", do: "delete-own", in: everywhere, there: 202, new: 404,
		make: func(t *testing.T, c *cell) request {
			body := ask.List()
			if c.place.there {
				c.worker().Put(t, c.place.repo, "", body)
			}
			return request{method: "DELETE", target: wire.ManifestPath(c.place.repo, digest.FromBytes(body))}
		}},

	{route: "blob", method: "GET", do: "pull", in: everywhere, there: 200, new: 404,
		make: func(_ *testing.T, c *cell) request {
			return request{method: "GET", target: wire.BlobPath(c.place.repo, digest.FromBytes(c.layer))}
		}},
	{route: "blob", method: "DELETE", do: "delete", in: everywhere, there: 202, new: 404,
		make: func(t *testing.T, c *cell) request {
			content := wire.Random(32)
			if c.place.there {
				c.worker().Push(t, c.place.repo, content)
			}
			return request{method: "DELETE", target: wire.BlobPath(c.place.repo, digest.FromBytes(content))}
		}},

	{route: "uploads", method: "POST", do: "push", in: everywhere, there: 202, new: 202,
		make: func(_ *testing.T, c *cell) request {
			return request{"POST", wire.UploadsPath(c.place.repo), []byte{}, nil}
		}},
	{route: "uploads", method: "POST", variant: "whole blob", do: "push", in: everywhere, there: 201, new: 201,
		make: func(_ *testing.T, c *cell) request {
			content := wire.Random(32)
			return request{"POST", wire.With(wire.UploadsPath(c.place.repo), "digest", digest.FromBytes(content).String()), content, []string{"Content-Type", wire.Octets}}
		}},
	{route: "uploads", method: "POST", variant: "mount", do: "push", in: everywhere, there: 201, new: 201,
		make: func(_ *testing.T, c *cell) request {
			return request{"POST", wire.With(wire.UploadsPath(c.place.repo), "mount", digest.FromBytes(c.layer).String(), "from", c.own()), []byte{}, nil}
		}},
	{route: "upload", method: "GET", do: "push", in: everywhere, there: 204, new: 404,
		make: func(t *testing.T, c *cell) request { return request{method: "GET", target: c.upload(t)} }},
	{route: "upload", method: "PATCH", do: "push", in: everywhere, there: 202, new: 404,
		make: func(t *testing.T, c *cell) request {
			return request{"PATCH", c.upload(t), []byte("more"), []string{"Content-Type", wire.Octets}}
		}},
	{route: "upload", method: "PUT", do: "push", in: everywhere, there: 201, new: 404,
		make: func(t *testing.T, c *cell) request {
			content := wire.Random(32)
			return request{"PUT", wire.With(c.upload(t), "digest", digest.FromBytes(content).String()), content, []string{"Content-Type", wire.Octets}}
		}},
	{route: "upload", method: "DELETE", do: "push", in: everywhere, there: 204, new: 404,
		make: func(t *testing.T, c *cell) request { return request{method: "DELETE", target: c.upload(t)} }},

	{route: "tags", method: "GET", do: "pull", in: everywhere, there: 200, new: 404, make: in("GET", "/v2/{repo}/tags/list?n=3")},
	{route: "referrers", method: "GET", do: "pull", in: everywhere, there: 200, new: 200,
		make: func(_ *testing.T, c *cell) request {
			return request{method: "GET", target: wire.ReferrersPath(c.place.repo, c.kept)}
		}},
}

// plain makes a request that needs nothing prepared.
func plain(method, target string) func(*testing.T, *cell) request {
	return func(*testing.T, *cell) request { return request{method: method, target: target} }
}

// in is plain about the place.
func in(method, target string) func(*testing.T, *cell) request {
	return func(_ *testing.T, c *cell) request {
		return request{method: method, target: strings.ReplaceAll(target, "{repo}", c.place.repo)}
	}
}
