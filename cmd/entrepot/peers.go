package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
	"github.com/entrepot/entrepot/storage/blob/s3"
)

// openPeers returns where damaged content may be had besides, in the order in which they are asked. Nothing is asked yet, so that they may be away.
func openPeers(ctx context.Context, c Peer, log *slog.Logger) (all []registry.Peer, err error) {
	if c.Disk != "" {
		all = append(all, registry.StorePeer("peer folder "+c.Disk, patient{disk.Peek(c.Disk), make(chan struct{}, 1)}))
	}
	if o := c.S3; o.Bucket != "" {
		var secret string
		if o.SecretKeyFile != "" {
			if secret, err = readSecretFile(o.SecretKeyFile); err != nil {
				return nil, fmt.Errorf("read the secret key of scrub.peer.s3: %w", err)
			}
		}
		bucket, err := s3.Open(ctx, s3.Config{
			Bucket: o.Bucket, Region: o.Region, Endpoint: o.Endpoint, Prefix: o.Prefix, PathStyle: o.ForcePathStyle, AccessKey: o.AccessKey, SecretKey: secret,
			Attempts: 2, Log: log,
		})
		if err != nil {
			return nil, fmt.Errorf("open scrub.peer.s3: %w", err)
		}
		all = append(all, registry.StorePeer("peer bucket "+o.Bucket, bucket))
	}
	if o := c.Registry; o.URL != "" {
		var credentials remote.Source
		if o.Username != "" {
			credentials = remote.PasswordFile(o.Username, o.PasswordFile)
		}
		u, err := url.Parse(o.URL)
		if err != nil {
			return nil, errors.New("open scrub.peer.registry: its url is not an address")
		}
		r, err := remote.New(remote.Config{Name: u.Host, URLs: []string{o.URL}, Credentials: credentials, Realms: o.Realms, CA: o.CA, Connections: 2, Log: log})
		if err != nil {
			return nil, fmt.Errorf("open scrub.peer.registry: %w", err)
		}
		all = append(all, registryPeer(r))
	}
	return all, nil
}

// registryPeer returns the peer that another registry is. It is asked in one repository after the other, until it has the content in one of them.
func registryPeer(r *remote.Remote) registry.Peer {
	return registry.Peer{Name: "peer registry " + r.Name(), Open: func(ctx context.Context, d digest.Digest, repos []string) (io.ReadCloser, error) {
		var refused error
		for _, repo := range repos {
			body, err := r.Blob(ctx, repo, d, 0)
			switch {
			case err == nil:
				return body.ReadCloser, nil
			case errors.Is(err, remote.ErrDenied):
				refused = cmp.Or(refused, err) // and others may be let read
			case !errors.Is(err, remote.ErrNotFound):
				return nil, err
			}
		}
		return nil, cmp.Or(refused, blob.ErrNotFound)
	}}
}

// patient reads content whose medium may hang for ever, as that of a folder on a network can, and gives up when its context ends. One thing at a time is read, so
// that no more than one hangs.
type patient struct {
	blob.Reader
	free chan struct{}
}

// Open implements blob.Reader. The reader ends with ctx.
func (p patient) Open(ctx context.Context, d digest.Digest, offset int64) (io.ReadCloser, error) {
	select {
	case p.free <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("something else is still being read from it: %w", ctx.Err())
	}
	opened := make(chan error, 1)
	from, to := io.Pipe()
	go func() {
		defer func() { <-p.free }()
		src, err := p.Reader.Open(ctx, d, offset)
		opened <- err
		if err == nil {
			defer src.Close()
			_, err = io.Copy(to, src)
		}
		to.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { to.CloseWithError(ctx.Err()) })
	select {
	case err := <-opened:
		if err != nil {
			return nil, err
		}
		return from, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("it does not answer: %w", ctx.Err())
	}
}
