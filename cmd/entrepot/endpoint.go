package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
)

// The places that cp can copy from and to.
const (
	inRegistry    = ""
	ociLayout     = "oci"
	ociArchive    = "oci-archive"
	dockerArchive = "docker-archive"
)

// origin is what is copied from.
type origin interface {
	referring
	// Find looks up a tag, a digest, or with "" the one thing that there is; name is what it is called there, "" when it is not.
	Find(ctx context.Context, ref string) (d ocispec.Descriptor, name string, err error)
	Tags(ctx context.Context) ([]string, error)
	Close() error
}

// target is what is copied to. Content arrives before whatever names it.
type target interface {
	Exists(ctx context.Context, d ocispec.Descriptor) (bool, error)
	// Push writes a blob, or a manifest that is found through another one. Content that is not d's is refused.
	Push(ctx context.Context, d ocispec.Descriptor, content io.Reader) error
	// Publish writes a manifest that is found by itself: by its tag, or (tag "") by its digest or subject.
	Publish(ctx context.Context, d ocispec.Descriptor, content []byte, tag string) error
	// Commit makes what was written last; Close without it takes back what can be taken back.
	Commit() error
	Close() error
}

// endpoint is SRC or DST of cp.
type endpoint struct {
	kind string
	path string             // of a layout or an archive
	name string             // in there: a tag, @digest, or repo:tag
	at   registry.Reference // in a registry
}

var layoutName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._/+-]{0,254}$`)

func parseEndpoint(s, server string) (endpoint, error) {
	kind, rest, ok := strings.Cut(s, ":")
	if !ok || kind != ociLayout && kind != ociArchive && kind != dockerArchive {
		ref, err := parseReference(s, server)
		return endpoint{at: ref}, err
	}
	e := endpoint{kind: kind, path: rest}
	if path, d, ok := strings.Cut(rest, "@"); ok && kind != dockerArchive {
		if err := digest.Digest(d).Validate(); err != nil {
			return e, fmt.Errorf("%s: %q is no digest: %w", kind, printable(d), err)
		}
		e.path, e.name = path, "@"+d
	} else if path, name, ok := strings.Cut(rest, ":"); ok {
		e.path, e.name = path, name
		if kind == dockerArchive {
			ref, err := parseReference(name, "docker.io")
			if err != nil || ref.Reference == "" || isDigest(ref) {
				return e, fmt.Errorf("%s: %q is no name of an image; write it as REPO:TAG", kind, printable(name))
			}
		} else if !layoutName.MatchString(name) {
			return e, fmt.Errorf("%s: %q is no tag", kind, printable(name))
		}
	}
	if e.path == "" {
		return e, fmt.Errorf("%s: no path is named", kind)
	}
	return e, nil
}

func (e endpoint) isArchive() bool { return e.kind == ociArchive || e.kind == dockerArchive }

// ref returns what is named in the endpoint: a tag, a digest, a docker-archive's repo:tag, or nothing.
func (e endpoint) ref() string {
	if e.kind == inRegistry {
		return e.at.Reference
	}
	return strings.TrimPrefix(e.name, "@")
}

func (e endpoint) String() string { return e.with(e.ref()) }

// with writes the endpoint as naming ref.
func (e endpoint) with(ref string) string {
	if e.kind == inRegistry {
		at := e.at
		at.Reference = ref
		return at.String()
	}
	s := e.kind + ":" + e.path
	switch {
	case ref == "":
	case e.kind != dockerArchive && strings.Contains(ref, ":"):
		s += "@" + ref
	default:
		s += ":" + ref
	}
	return s
}

// nameFor returns the tag that root gets in e: the one that e names, else the one (name) that it had in src. "" is no tag.
func (e endpoint) nameFor(src endpoint, name string, root ocispec.Descriptor) (string, error) {
	ref := e.ref()
	if e.kind != dockerArchive && strings.Contains(ref, ":") {
		if ref != root.Digest.String() {
			return "", fmt.Errorf("what is to be copied is %s, and cannot have the digest %s", root.Digest, ref)
		}
		return "", nil
	}
	if ref != "" {
		return ref, nil
	}
	switch {
	case name == "" || e.kind == dockerArchive && src.kind == dockerArchive:
		return name, nil
	case e.kind == dockerArchive && src.kind == inRegistry:
		return src.with(name), nil
	case e.kind == dockerArchive:
		return "", nil // a layout knows a tag, but no repository for it
	}
	return name[strings.LastIndexByte(name, ':')+1:], nil
}

func (c *client) openOrigin(ctx context.Context, e endpoint) (origin, error) {
	switch e.kind {
	case ociLayout:
		return openLayoutFolder(e.path)
	case ociArchive:
		return openLayoutArchive(e.path)
	case dockerArchive:
		return openDockerArchive(ctx, e.path, e.name)
	}
	return c.store(e.at)
}

func (c *client) openTarget(e endpoint) (target, error) {
	switch e.kind {
	case ociLayout:
		return openLayoutTarget(e.path)
	case ociArchive:
		return openArchiveTarget(e.path, false)
	case dockerArchive:
		return openArchiveTarget(e.path, true)
	}
	if e.at.Repository == "" {
		return nil, errors.New("no repository is named")
	}
	return c.store(e.at)
}
