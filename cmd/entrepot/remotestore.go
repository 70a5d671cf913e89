package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
)

// remoteStore is a repository of a registry, as something to read from and to write to.
type remoteStore struct {
	repo *remote.Repository
}

func (c *client) store(ref registry.Reference) (*remoteStore, error) {
	repo, err := c.repository(ref)
	if err != nil {
		return nil, err
	}
	return &remoteStore{repo: repo}, nil
}

// find looks up what an argument names, where nothing means the tag latest. Its errors say what was being done.
func (c *client) find(cmd *cobra.Command, arg, doing string) (ref registry.Reference, s *remoteStore, d ocispec.Descriptor, err error) {
	if ref, err = parseReference(arg, c.server()); err != nil {
		return ref, nil, d, misuse(cmd, "%v", err)
	}
	ref.Reference = ref.ReferenceOrDefault()
	if s, err = c.store(ref); err == nil {
		d, err = s.Resolve(cmd.Context(), ref.Reference)
	}
	if err != nil {
		err = explain(err, "%s %s", doing, ref)
	}
	return ref, s, d, err
}

func (s *remoteStore) Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	return s.repo.Resolve(ctx, ref)
}

// Find looks up ref, where nothing means the tag latest.
func (s *remoteStore) Find(ctx context.Context, ref string) (ocispec.Descriptor, string, error) {
	if ref == "" {
		ref = "latest"
	}
	d, err := s.Resolve(ctx, ref)
	if strings.Contains(ref, ":") {
		return d, "", err
	}
	return d, ref, err
}

func (s *remoteStore) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if isManifestType(d.MediaType) {
		return s.repo.Manifests().Fetch(ctx, d)
	}
	return s.repo.Blobs().Fetch(ctx, d)
}

func (s *remoteStore) Referrers(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	var all []ocispec.Descriptor
	err := s.repo.Referrers(ctx, d, "", func(page []ocispec.Descriptor) error {
		if all = append(all, page...); len(all) > manifestCount {
			return fmt.Errorf("%s has more than %d referrers", d.Digest, manifestCount)
		}
		return nil
	})
	return all, err
}

func (s *remoteStore) Tags(ctx context.Context) ([]string, error) {
	seen := map[string]bool{}
	err := s.repo.Tags(ctx, "", func(page []string) error {
		for _, t := range page {
			seen[t] = true
		}
		return nil
	})
	return slices.Sorted(maps.Keys(seen)), err
}

func (s *remoteStore) Exists(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	if isManifestType(d.MediaType) {
		return s.repo.Manifests().Exists(ctx, d)
	}
	return s.repo.Blobs().Exists(ctx, d)
}

func (s *remoteStore) Push(ctx context.Context, d ocispec.Descriptor, content io.Reader) error {
	if isManifestType(d.MediaType) {
		return s.repo.Manifests().Push(ctx, d, content)
	}
	return s.repo.Blobs().Push(ctx, d, content)
}

func (s *remoteStore) Publish(ctx context.Context, d ocispec.Descriptor, content []byte, tag string) error {
	if tag == "" {
		return s.repo.Manifests().Push(ctx, d, bytes.NewReader(content))
	}
	// One request writes the manifest and moves the tag, so that nobody sees one without the other.
	return s.repo.Manifests().PushReference(ctx, d, bytes.NewReader(content), tag)
}

func (s *remoteStore) Commit() error { return nil }
func (s *remoteStore) Close() error  { return nil }

// mountFrom returns the repository of from when its blobs can be had without sending them: another one of the same registry.
func (s *remoteStore) mountFrom(from any) (repo string, ok bool) {
	other, ok := from.(*remoteStore)
	if !ok || other.repo.Reference.Host() != s.repo.Reference.Host() || other.repo.Reference.Repository == s.repo.Reference.Repository {
		return "", false
	}
	return other.repo.Reference.Repository, true
}

// mount asks for d from another repository of the registry; when that is not granted, the content of open is sent.
func (s *remoteStore) mount(ctx context.Context, d ocispec.Descriptor, repo string, open func() (io.ReadCloser, error)) error {
	return s.repo.Mount(ctx, d, repo, open)
}
