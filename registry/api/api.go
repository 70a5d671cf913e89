// Package api is the registry's side of the door: the OCI distribution API over HTTP, and the journal beside it.
//
// [Routes] returns the table of /v2/… and /api/v1/audit, for the door ([door.New]) to serve:
//
//	handler := door.New(door.Config{Policy: policy, Log: log}, api.Routes(api.Config{Registry: reg})...)
//
// Each route is one line of the table in routes.go: which paths, which method, which right it needs, which endpoint serves it. An endpoint reads
// the request, calls one method of the registry and writes the answer.
//
// Rules of registries are not here but in package registry; who may do what is decided by [auth.Policy], in the door. Where a route serves those
// with less than the full right too (a new tag but no moved one, deletes of one's own), its endpoint asks the policy for the rest.
package api

import (
	"context"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// Config is what the API stands on.
type Config struct {
	Registry  *registry.Registry
	Source    registry.Source             // where content is pulled from; nil: Registry itself
	Fetches   bool                        // the source fetches from elsewhere, and the journal is told for whom
	Pulled    func(string, digest.Digest) // told of each manifest that is pulled, and from which repository; nil: Registry is
	NoDeletes bool                        // every DELETE of content is answered 405
	Scratch   func(repo, tag string) bool // whether a tag is one that whoever has set it may remove; nil: every tag is
	Moves     Moves                       // knows the tags that say what is deployed; nil: there are none

	// Closed refuses changes of repositories that the registry itself writes to. Nil refuses none.
	Closed func(repo string) error

	// Shows tells whether the context's caller may be told, outside of a repository, what that one holds: in the catalog, or by a mount from it. That comes on top of
	// the right to pull. Nil: every repository is shown.
	Shows func(ctx context.Context, repo string) bool

	// Needs is the right that pushing under a tag takes besides auth.Push; empty: none. Nil: no tag takes another.
	Needs func(repo, tag string) auth.Action
}

// Moves moves the tags that say what is deployed. They are not set as others are.
type Moves interface {
	IsDomainTag(repo, tag string) bool
	IsLast(tag string) bool // whether that takes auth.PromoteLast, too
	// MoveTag lets the tag name a manifest that the repository has. What it says of other repositories is for whoever may know of them.
	MoveTag(ctx context.Context, repo, tag string, d digest.Digest, may func(repo string) bool) error
}

// API serves the distribution API.
type API struct {
	registry *registry.Registry
	source   registry.Source
	deletes  bool
	scratch  func(repo, tag string) bool
	moves    Moves
	needs    func(repo, tag string) auth.Action
	closed   func(repo string) error
	shows    func(ctx context.Context, repo string) bool
	fetches  bool
	pulled   func(repo string, d digest.Digest)
}

// reading is the context in which a request reads from the source.
func (a *API) reading(r *http.Request, c door.Call) context.Context {
	if a.fetches {
		return c.By(r)
	}
	return r.Context()
}

// noting is the context in which a source leaves notes. One that fetches from nowhere has nothing to note.
func (a *API) noting(ctx context.Context) (context.Context, *registry.Notes) {
	if !a.fetches {
		return ctx, &nothing
	}
	return registry.WithNotes(ctx)
}

var nothing registry.Notes

// Routes returns the table.
func Routes(c Config) []door.Route {
	a := &API{registry: c.Registry, source: c.Source, deletes: !c.NoDeletes, scratch: c.Scratch, moves: c.Moves, needs: c.Needs, closed: c.Closed, fetches: c.Fetches, pulled: c.Pulled}
	if a.pulled == nil {
		a.pulled = c.Registry.Pulled
	}
	if a.closed == nil {
		a.closed = func(string) error { return nil }
	}
	if a.shows = c.Shows; a.shows == nil {
		a.shows = func(context.Context, string) bool { return true }
	}
	if a.source == nil {
		a.source = c.Registry
	}
	if a.scratch == nil {
		a.scratch = func(string, string) bool { return true }
	}
	return a.routes()
}
