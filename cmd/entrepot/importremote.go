package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/entrepot/entrepot/registry/importer"
)

// importSource is a registry that is moved out of, over its API.
type importSource struct {
	c     *client
	host  string
	names []string      // nil: its catalogue tells
	stall time.Duration // for how long a blob may stand still
}

// newImportSource connects by itself: a password that is given for the source is for nobody else.
func newImportSource(c *client, o *importOptions, names []string) (*importSource, error) {
	from := &client{app: c.app, flag: o.from, plain: c.plain, tls: c.tls, insecure: c.insecure, ca: c.ca}
	s := &importSource{c: from, host: from.server(), names: names, stall: time.Minute}
	if o.user == "" {
		return s, nil
	}
	password, err := readSecretFile(o.passwordFile)
	if err != nil {
		return nil, fmt.Errorf("read --from-password-file: %w", err)
	}
	h, err := from.open()
	if err != nil {
		return nil, err
	}
	own := registry.Reference{Registry: s.host}.Host()
	h.Credential = func(_ context.Context, host string) (auth.Credential, error) {
		if host != own {
			return auth.EmptyCredential, nil
		}
		return auth.Credential{Username: o.user, Password: password}, nil
	}
	return s, nil
}

func (s *importSource) store(repo string) (*remoteStore, error) { return storeAt(s.c, s.host, repo) }

func storeAt(c *client, host, repo string) (*remoteStore, error) {
	ref := registry.Reference{Registry: host, Repository: repo}
	if err := ref.Validate(); err != nil {
		return nil, fmt.Errorf("%s is no repository: %w", printable(host+"/"+repo), err)
	}
	return c.store(ref)
}

// Repositories implements importer.From.
func (s *importSource) Repositories(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, name := range s.names {
			if !yield(name, nil) {
				return
			}
		}
		if s.names == nil {
			s.catalogue(ctx, yield)
		}
	}
}

var errEnough = errors.New("enough")

func (s *importSource) catalogue(ctx context.Context, yield func(string, error) bool) {
	reg, err := s.c.registry(s.host)
	pages, names := 0, 0
	if err == nil {
		err = reg.Repositories(ctx, "", func(page []string) error {
			if pages++; pages > pageLimit {
				return fmt.Errorf("the list does not end after %d pages", pageLimit)
			}
			for _, name := range page {
				if names++; !yield(name, nil) {
					return errEnough
				}
			}
			return nil
		})
	}
	var answer *errcode.ErrorResponse
	switch {
	case errors.Is(err, errEnough):
	case errors.As(err, &answer) && answer.StatusCode < 500 && answer.StatusCode != http.StatusTooManyRequests || errors.Is(err, auth.ErrBasicCredentialNotFound):
		yield("", explain(err, "list the repositories of %s, whose catalogue is closed or closed to you (then name them with --list FILE)", s.host))
	case err != nil:
		yield("", explain(err, "list the repositories of %s", s.host))
	case names == 0:
		yield("", fmt.Errorf("%s lists no repository: there is none, or none for you (then log in, or name them with --list FILE)", s.host))
	}
}

// Tags implements importer.From.
func (s *importSource) Tags(ctx context.Context, repo string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		store, err := s.store(repo)
		var tags []string
		if err == nil {
			err = again(ctx, func() error { tags, err = store.Tags(ctx); return err })
		}
		if err != nil {
			yield("", explain(err, "list tags"))
			return
		}
		for _, tag := range tags {
			if !yield(tag, nil) {
				return
			}
		}
	}
}

// Resolve implements importer.From.
func (s *importSource) Resolve(ctx context.Context, repo, tag string) (digest.Digest, error) {
	store, err := s.store(repo)
	if err != nil {
		return "", err
	}
	d, err := store.Resolve(ctx, tag)
	return d.Digest, err
}

// Manifest implements importer.From.
func (s *importSource) Manifest(ctx context.Context, repo string, d digest.Digest) (string, []byte, error) {
	store, err := s.store(repo)
	if err != nil {
		return "", nil, err
	}
	return store.manifestOf(ctx, d)
}

// manifestWait is the most that a manifest may take, with the pauses that a registry asks for.
const manifestWait = 5 * time.Minute

// manifestOf reads a manifest by its digest, and checks it.
func (s *remoteStore) manifestOf(ctx context.Context, d digest.Digest) (string, []byte, error) {
	if err := d.Validate(); err != nil {
		return "", nil, fmt.Errorf("%s is no digest: %w", printable(string(d)), err)
	}
	ctx, cancel := context.WithTimeout(ctx, manifestWait)
	defer cancel()
	desc, r, err := s.repo.Manifests().FetchReference(ctx, d.String())
	if errors.Is(err, errdef.ErrNotFound) {
		return "", nil, importer.ErrAbsent
	}
	if err != nil {
		return "", nil, err
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, manifestLimit+1))
	if err != nil {
		return "", nil, err
	}
	if len(body) > manifestLimit {
		return "", nil, fmt.Errorf("manifest %s is longer than %s", d, humanSize(manifestLimit))
	}
	if got := d.Algorithm().FromBytes(body); got != d {
		return "", nil, fmt.Errorf("manifest %s: what came is %s", d, got)
	}
	mediaType, _, _ := strings.Cut(desc.MediaType, ";")
	return strings.TrimSpace(mediaType), body, nil
}

// Referrers implements importer.From.
func (s *importSource) Referrers(ctx context.Context, repo string, d ocispec.Descriptor) ([]digest.Digest, error) {
	store, err := s.store(repo)
	if err != nil {
		return nil, err
	}
	all, err := store.Referrers(ctx, d)
	var digests []digest.Digest
	for _, one := range all {
		digests = append(digests, one.Digest)
	}
	return digests, err
}

// Blob implements importer.From.
func (s *importSource) Blob(ctx context.Context, repo string, d ocispec.Descriptor) (io.ReadCloser, error) {
	store, err := s.store(repo)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r, err := store.repo.Blobs().Fetch(ctx, d)
	if err != nil {
		cancel()
		return nil, err
	}
	return &unstalled{ReadCloser: r, cancel: cancel, most: s.stall}, nil
}

// unstalled is content that is given up when nothing of it comes for a while. What is done between two reads takes as long as it takes.
type unstalled struct {
	io.ReadCloser
	cancel context.CancelFunc
	most   time.Duration
}

func (w *unstalled) Read(p []byte) (int, error) {
	late := time.AfterFunc(w.most, w.cancel)
	n, err := w.ReadCloser.Read(p)
	if !late.Stop() && err != nil && err != io.EOF {
		err = fmt.Errorf("nothing came for %s: %w", w.most, io.ErrUnexpectedEOF)
	}
	return n, err
}

func (w *unstalled) Close() error {
	defer w.cancel()
	return w.ReadCloser.Close()
}

// importTarget is a registry that is moved into, over its API.
type importTarget struct {
	c    *client
	host string
}

func (t *importTarget) store(repo string) (*remoteStore, error) { return storeAt(t.c, t.host, repo) }

// Resolve implements importer.To.
func (t *importTarget) Resolve(ctx context.Context, repo, tag string) (digest.Digest, error) {
	store, err := t.store(repo)
	if err != nil {
		return "", err
	}
	d, err := store.Resolve(ctx, tag)
	if errors.Is(err, errdef.ErrNotFound) {
		return "", nil
	}
	return d.Digest, err
}

// Manifest implements importer.To.
func (t *importTarget) Manifest(ctx context.Context, repo string, d digest.Digest) (string, []byte, error) {
	store, err := t.store(repo)
	if err != nil {
		return "", nil, err
	}
	return store.manifestOf(ctx, d)
}

// Has implements importer.To.
func (t *importTarget) Has(ctx context.Context, repo string, d ocispec.Descriptor) (bool, error) {
	store, err := t.store(repo)
	if err != nil {
		return false, err
	}
	return store.repo.Blobs().Exists(ctx, d)
}

// Bring implements importer.To: nothing is sent that the registry has.
func (t *importTarget) Bring(ctx context.Context, repo string, d ocispec.Descriptor, near string, open func() (io.ReadCloser, error)) (importer.How, error) {
	store, err := t.store(repo)
	if err != nil {
		return importer.Copied, err
	}
	if has, err := store.repo.Blobs().Exists(ctx, d); err != nil || has {
		return importer.Here, err
	}
	var reading *checked
	read := func() (io.ReadCloser, error) {
		r, err := open()
		if err != nil {
			return nil, err
		}
		reading = check(r, d)
		return readCloser{reading, r}, nil
	}
	// Whoever was reading reports what he was told; the reader itself knows better what was wrong.
	blame := func(err error) error {
		if err != nil && reading != nil && reading.err != nil && !errors.Is(reading.err, io.EOF) {
			return reading.err
		}
		return err
	}
	if near != "" {
		err := store.mount(ctx, d, near, read)
		var refused *errcode.ErrorResponse
		switch {
		case err == nil && reading == nil:
			return importer.Mounted, nil
		case err == nil || reading != nil || !errors.As(err, &refused) || refused.StatusCode >= 500:
			return importer.Copied, blame(err)
		}
		// Some registries refuse a mount that they could have declined.
	}
	r, err := read()
	if err != nil {
		return importer.Copied, err
	}
	defer r.Close()
	return importer.Copied, blame(store.repo.Blobs().Push(ctx, d, r))
}

// Put implements importer.To.
func (t *importTarget) Put(ctx context.Context, repo, tag string, d ocispec.Descriptor, body []byte) error {
	store, err := t.store(repo)
	if err != nil {
		return err
	}
	return store.Publish(ctx, d, body, tag)
}
