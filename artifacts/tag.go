package artifacts

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
)

// IsComponent tells whether a repository is a component: <domain>/<group>/<service>. Names that begin like a host's are those of other registries, which are
// seen through this one.
func IsComponent(repo string) bool { return strings.Count(repo, "/") == 2 && !isForeign(repo) }

// isGroup tells whether a repository is a group: <domain>/<group>.
func isGroup(repo string) bool { return strings.Count(repo, "/") == 1 && !isForeign(repo) }

func isForeign(repo string) bool {
	first, _, _ := strings.Cut(repo, "/")
	return strings.Contains(first, ".")
}

// Scratch tells whether a tag is one that people use as they like: in a component whatever promises nothing, anywhere else every tag.
func Scratch(repo, tag string) bool {
	if !IsComponent(repo) {
		return true
	}
	_, promises := version.ParseTag(tag)
	return !promises
}

// formats says which kind of artifact a tag of each class names.
var formats = map[version.TagKind]Kind{
	version.TagVersion: Docker, version.TagDeb: Deb, version.TagGeneric: Generic, version.TagRelease: Release,
}

// tagOf returns the tag under which a version has a format.
func tagOf(format Kind, v version.Version) string {
	if format == Docker {
		return v.Tag()
	}
	return string(format) + "-" + v.Tag()
}

// Governed tells whether a tag is that of a group's ownership.yaml or policy.yaml, which take a right of their own to be set.
func Governed(repo, tag string) bool {
	return isGroup(repo) && (tag == string(document.KindOwnership) || tag == string(document.KindPolicy))
}

// Tags knows the domain tags, for a door whose clients set them as they set others.
type Tags struct{ *Catalog }

// IsDomainTag tells whether a tag of a repository says what is deployed.
func (Tags) IsDomainTag(repo, tag string) bool {
	t, _ := version.ParseTag(tag)
	return t.Kind == version.TagDomain && IsComponent(repo)
}

// IsLast tells whether a domain tag is that of a last environment.
func (t Tags) IsLast(tag string) bool {
	p, err := ParsePlace(tag)
	return err == nil && t.Catalog.IsLast(p)
}

// MoveTag promotes what a manifest is to where the tag says; may tells which components whoever does so may know of, nil for all. What refuses that is an error of the registry, so that every client can show it.
func (t Tags) MoveTag(ctx context.Context, repo, tag string, d digest.Digest, may func(repo string) bool) error {
	p, err := ParsePlace(tag)
	if err != nil {
		return err
	}
	refuse := func(hint string) error {
		return &registry.Error{Code: registry.Denied, Detail: map[string]string{"name": repo, "tag": tag, "hint": hint}}
	}
	all, err := madeOf(ctx, t.index, repo, d)
	if err == nil && len(all) == 0 {
		return refuse("this is no version of " + repo + "; push it under its number first, as 1.0.2, and promote that")
	}
	if err == nil {
		to := all[0].version // the highest good one, if it is several
		if i := slices.IndexFunc(all, func(m made) bool { return m.version.Good }); i > 0 {
			to = all[i].version
		}
		_, err = t.Move(ctx, Order{Kind: Promotion, Component: repo, Place: p, Version: to.Version, May: may})
	}
	var refused *Refused
	if errors.As(err, &refused) {
		return refuse(refused.Error())
	}
	return err
}
