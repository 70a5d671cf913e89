package main

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/entrepot/entrepot/artifacts"
	artifactsapi "github.com/entrepot/entrepot/artifacts/api"
	"github.com/entrepot/entrepot/artifacts/apt"
	"github.com/entrepot/entrepot/artifacts/intake"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/artifacts/tree"
	rights "github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/api"
	"github.com/entrepot/entrepot/registry/upstream"
	"github.com/entrepot/entrepot/registry/upstream/mirror"
	"github.com/entrepot/entrepot/storage/kv"
)

// components are the catalog and everything around it.
type components struct {
	catalog *artifacts.Catalog
	index   kv.DB
	keys    *suite.Keys
	through *upstream.Through // nil: no other registry is seen through this one
	callers *upstream.Callers // the same, with each caller's own credentials where these are wanted
	mirrors *mirror.Mirrors   // nil: nothing is mirrored
	url     string
	log     *slog.Logger
}

// openComponents makes what takes part in the registry's pushes; it is complete when it was prepared.
func openComponents(c Config, index kv.DB, service string, log *slog.Logger) (*components, error) {
	keys, err := suite.OpenKeys(suite.KeysConfig{Index: index, Service: service, Algorithm: suite.Algorithm(c.Artifacts.Apt.Algorithm), Log: log})
	if err != nil {
		return nil, err
	}
	levels := map[string]artifacts.Level{}
	for rule, level := range c.Artifacts.Rules {
		levels[rule] = artifacts.Level(level)
	}
	catalog := artifacts.New(artifacts.Config{
		Index: index, Log: log, Rules: levels, StaleBuild: c.Artifacts.StaleBuild, BaseImages: c.Artifacts.BaseImages,
		RequiredLabels: c.Artifacts.RequiredLabels, Last: c.Artifacts.LastEnvironments, Keys: keys, ValidFor: c.Artifacts.Apt.ValidFor,
	})
	return &components{catalog: catalog, index: index, keys: keys, url: c.URL, log: log}, nil
}

// registryRoutes are those of the distribution API, with what components add to it.
func (k *components) registryRoutes(c Config, reg *registry.Registry) ([]door.Route, error) {
	var source registry.Source = artifacts.Source{Registry: reg, Catalog: k.catalog}
	closed, pulled := artifacts.Reserved, reg.Pulled
	var shows func(context.Context, string) bool
	through, err := k.openUpstreams(c, reg, source)
	if err != nil {
		return nil, err
	}
	if k.through = through; through != nil {
		if k.callers, err = upstream.NewCallers(through, callersOf(c.Upstreams)...); err != nil {
			return nil, err
		}
		source, pulled, shows = k.callers, through.Pulled, k.callers.Admitted
		closed = func(repo string) error { return cmp.Or(artifacts.Reserved(repo), through.Closed(repo)) }
	}
	return api.Routes(api.Config{
		Registry: reg, Source: source, Fetches: through != nil, Pulled: pulled, NoDeletes: !c.Deletes, Scratch: artifacts.Scratch,
		Moves: artifacts.Tags{Catalog: k.catalog}, Closed: closed, Shows: shows,
		Needs: func(repo, tag string) rights.Action {
			if artifacts.Governed(repo, tag) {
				return rights.Govern
			}
			return ""
		},
	}), nil
}

// routes are the doors to components.
func (k *components) routes(reg *registry.Registry) []door.Route {
	shelf := &intake.Shelf{Registry: reg, Catalog: k.catalog}
	files := tree.New(tree.Config{Catalog: k.catalog, Registry: reg, Log: k.log})
	all := artifactsapi.Routes(artifactsapi.Config{Catalog: k.catalog, Registry: reg, Shelf: shelf, File: files.File, URL: k.url, Log: k.log})
	all = append(all, files.Routes()...)
	return append(all, apt.Routes(apt.Config{Catalog: k.catalog, Registry: reg, Keys: k.keys, Shelf: shelf, URL: k.url, Log: k.log})...)
}
