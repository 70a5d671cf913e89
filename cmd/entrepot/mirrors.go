package main

import (
	"log/slog"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream"
	"github.com/entrepot/entrepot/registry/upstream/mirror"
	"github.com/entrepot/entrepot/storage/kv"
)

// openMirrors returns what is mirrored of upstreams; nil if nothing is. Nothing runs yet.
func openMirrors(c Config, through *upstream.Through, reg *registry.Registry, index kv.DB, log *slog.Logger) (*mirror.Mirrors, error) {
	if len(c.Mirror) == 0 {
		return nil, nil
	}
	return mirror.New(mirror.Config{Through: through, Local: reg, Index: index, Entries: mirrorEntries(c.Mirror), Log: log})
}

func mirrorEntries(all []MirrorEntry) []mirror.Entry {
	entries := make([]mirror.Entry, len(all))
	for i, e := range all {
		entries[i] = mirror.Entry(e)
	}
	return entries
}
