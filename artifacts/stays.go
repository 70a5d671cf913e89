package artifacts

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
)

// Stays tells why something must not go that nobody but a rule wants to be gone; empty: nothing speaks against it. Of a component these stay: the tags that promise
// something, what is or was deployed, whatever else names it, and the manifests and documents of versions. Of a group its ownership.yaml and policy.yaml stay, and
// so does all that the registry makes itself. A manifest comes without a tag.
func (k *Catalog) Stays(ctx context.Context, repo, tag string, s registry.Stored) (why string, err error) {
	switch {
	case Reserved(repo) != nil:
		return "the registry has made it itself", nil
	case Governed(repo, tag):
		return "it is the " + tag + ".yaml of the group", nil
	case !IsComponent(repo):
		return "", nil
	}
	if why := promised(tag); why != "" {
		return why, nil
	}
	all, err := madeOf(ctx, k.index, repo, s.Digest)
	if err != nil {
		return "", err
	}
	for _, m := range all {
		places, err := deployedWhere(ctx, k.index, repo, m.version.Version, true)
		if err != nil {
			return "", err
		}
		if len(places) > 0 {
			return "it is version " + m.version.Version + ", which is or was deployed in " + strings.Join(places, ", "), nil
		}
		if tag == "" {
			return "it is version " + m.version.Version, nil
		}
	}
	for d, err := range deployedOf(ctx, k.index, repo) {
		if err != nil {
			return "", err
		}
		if d.Digest == s.Digest {
			return "it is deployed in " + d.Place.Tag(), nil
		}
	}
	if tag != "" {
		return "", nil
	}
	return k.documents(ctx, repo, s.Digest)
}

// promised tells what a tag of a component promises that makes it stay.
func promised(tag string) string {
	t, promises := version.ParseTag(tag)
	switch {
	case tag == "" || !promises:
		return ""
	case t.Kind == version.TagLatest:
		return "it follows the latest good version by itself"
	case t.Kind == version.TagDomain:
		return "it says what is deployed in " + tag
	case t.Kind == version.TagCommit:
		return "it is immutable, and says what was built from a commit"
	}
	return "it is immutable: it is version " + t.Version.String()
}

// documents tells of which version a manifest is a document.
func (k *Catalog) documents(ctx context.Context, repo string, d digest.Digest) (string, error) {
	p, _, err := k.registry.Again(ctx, repo, string(d))
	if registry.Code(err) != "" || err == nil && p.Manifest.Subject == nil {
		return "", nil // it has gone meanwhile, or is no document
	}
	if err != nil {
		return "", err
	}
	all, err := madeOf(ctx, k.index, repo, p.Manifest.Subject.Digest)
	if err != nil {
		return "", err
	}
	for _, of := range all {
		for _, what := range slices.Compact([]string{string(of.format), "metadata"}) {
			row, err := read[Attached](ctx, k.index, keyDocument(repo, of.version.Version, what))
			if err != nil && !errors.Is(err, ErrUnknown) {
				return "", err
			}
			if err == nil && row.Digest == d {
				return "it is a document of version " + of.version.Version, nil
			}
		}
	}
	return "", nil
}
