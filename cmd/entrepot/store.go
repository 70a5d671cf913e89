package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/entrepot/entrepot/registry"
	registrytransfer "github.com/entrepot/entrepot/registry/transfer"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
	"github.com/entrepot/entrepot/storage/kv/postgres"
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
func openStore(ctx context.Context, c Config, log *slog.Logger) (s *store, err error) {
	if c.onDisk() {
		if err := os.MkdirAll(c.Data, 0o700); err != nil {
			return nil, fmt.Errorf("make the data folder: %w; choose another with data, --data or ENTREPOT_DATA", err)
		}
	}
	s = &store{}
	if s.index, s.uploads, err = openIndex(ctx, c, log); err != nil {
		return nil, err
	}
	if s.blobs, s.free, err = openBlobs(ctx, c, log); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// kept says for a person where everything is kept.
func (c Config) kept() string {
	content, index, _ := c.paths()
	if o := c.Storage.S3; o.Bucket != "" {
		content = "s3://" + path.Join(o.Bucket, o.Prefix)
	}
	if c.shared() {
		index = "PostgreSQL"
	} else if content == c.Data && filepath.Dir(index) == filepath.Clean(c.Data) {
		return "everything in " + c.Data
	}
	return "content in " + content + " and the index in " + index
}

// onDisk tells whether anything is kept on this machine.
func (c Config) onDisk() bool { return c.Storage.S3.Bucket == "" || c.Index.Postgres.URL == "" }

// shared tells whether other registries may stand on the same stores at the same time.
func (c Config) shared() bool { return c.Index.Postgres.URL != "" }

// openIndex opens the index, and where the state of uploads is kept.
func openIndex(ctx context.Context, c Config, log *slog.Logger) (index, uploads kv.DB, err error) {
	if p := c.Index.Postgres; p.URL != "" {
		open := func(table string, lazy bool) (kv.DB, error) {
			return postgres.Open(ctx, postgres.Config{URL: p.URL, Schema: p.Schema, Table: table, MaxConns: p.Connections, Lazy: lazy, Log: log})
		}
		// Both at once: most of the time goes by in making connections.
		var other error
		var opening sync.WaitGroup
		opening.Go(func() { uploads, other = open("entrepot_uploads", true) })
		index, err = open("entrepot", false)
		opening.Wait()
		switch {
		case err != nil && other == nil:
			uploads.Close()
			return nil, nil, err
		case err != nil:
			return nil, nil, err
		}
		err = other
	} else {
		_, indexPath, uploadsPath := c.paths()
		if index, err = bolt.Open(indexPath, bolt.Options{}); err != nil {
			return nil, nil, err
		}
		uploads, err = bolt.Open(uploadsPath, bolt.Options{Lazy: true})
	}
	if err != nil {
		index.Close()
		return nil, nil, err
	}
	return index, uploads, nil
}

// openBlobs opens the store of content. free tells what is left of its medium; nil: nobody can tell.
func openBlobs(ctx context.Context, c Config, log *slog.Logger) (blobs blob.Store, free func() (uint64, error), err error) {
	if c.Storage.S3.Bucket == "" {
		content, _, _ := c.paths()
		onDisk, err := disk.Open(content)
		if err != nil {
			return nil, nil, err
		}
		return onDisk, onDisk.Free, nil
	}
	o := c.Storage.S3
	var secret string
	if o.SecretKeyFile != "" {
		if secret, err = readSecretFile(o.SecretKeyFile); err != nil {
			return nil, nil, fmt.Errorf("read the secret key of storage.s3: %w", err)
		}
	}
	bucket, err := s3.Open(ctx, s3.Config{
		Bucket: o.Bucket, Region: o.Region, Endpoint: o.Endpoint, PublicEndpoint: o.PublicEndpoint, Prefix: o.Prefix, PathStyle: o.ForcePathStyle,
		AccessKey: o.AccessKey, SecretKey: secret, SSE: o.SSE, KMSKey: o.KMSKey, StorageClass: o.StorageClass, Memory: int64(o.Memory), Log: log,
	})
	if err != nil {
		return nil, nil, err
	}
	check, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := bucket.Check(check); err != nil {
		if !errors.Is(err, blob.ErrUnavailable) {
			return nil, nil, err
		}
		log.Warn("the bucket does not answer; content can be served and taken when it does", "err", err)
	}
	return bucket, nil, nil
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
	var links time.Duration
	if c.Storage.S3.Redirect {
		links = c.Storage.S3.LinkTTL
	}
	var kept func(context.Context, kv.View) (time.Time, error)
	if c.Backup.Every > 0 && c.Backup.Content {
		kept = registrytransfer.KeptSince
	}
	return registry.Config{
		LinkTTL: links, KeptSince: kept,
		Grace: c.GC.Grace, Doomed: c.GC.Delay, SweepEvery: every,
		Blobs: s.blobs, Index: s.index, Uploads: s.uploads, Shared: c.shared(),
		ManifestBytes: int64(c.Limits.ManifestBytes), UploadTTL: c.Limits.UploadTTL,
		Log: log,
	}
}
