package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

// store is what a configuration says that a registry stands on, opened. Whoever holds it is alone with it.
type store struct {
	blobs   blob.Store
	index   kv.DB
	uploads kv.DB
	free    func() (uint64, error) // bytes left on the content's medium
}

// paths are where the parts of a store lie.
func (c Config) paths() (content, index, uploads string) {
	content, index = c.Storage.Disk.Path, c.Index.Bolt.Path
	if content == "" {
		content = c.Data
	}
	if index == "" {
		index = filepath.Join(c.Data, "index.db")
	}
	return content, index, filepath.Join(filepath.Dir(index), "uploads.db")
}

// openStore opens, and makes if need be, everything that c names. The index comes first: it is what another process would hold.
func openStore(c Config) (*store, error) {
	content, indexPath, uploadsPath := c.paths()
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w; choose another with data, --data or ENTREPOT_DATA", err)
	}
	index, err := bolt.Open(indexPath, bolt.Options{})
	if err != nil {
		return nil, err
	}
	uploads, err := bolt.Open(uploadsPath, bolt.Options{Lazy: true})
	if err != nil {
		index.Close()
		return nil, err
	}
	blobs, err := disk.Open(content)
	if err != nil {
		uploads.Close()
		index.Close()
		return nil, err
	}
	return &store{blobs: blobs, index: index, uploads: uploads, free: blobs.Free}, nil
}

func (s *store) close() error {
	err := s.uploads.Close()
	if e := s.index.Close(); err == nil {
		err = e
	}
	return err
}

// registryConfig is how c and the store make a registry.
func (s *store) registryConfig(c Config, log *slog.Logger) registry.Config {
	every := c.GC.Every
	if every == 0 {
		every = -1 // never
	}
	return registry.Config{
		Grace: c.GC.Grace, Doomed: c.GC.Delay, SweepEvery: every,
		Blobs: s.blobs, Index: s.index, Uploads: s.uploads,
		ManifestBytes: int64(c.Limits.ManifestBytes), UploadTTL: c.Limits.UploadTTL,
		Log: log,
	}
}
