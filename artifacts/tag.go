package artifacts

import (
	"strings"

	"github.com/entrepot/entrepot/artifacts/version"
)

// IsComponent tells whether a repository is a component: <domain>/<group>/<service>.
func IsComponent(repo string) bool { return strings.Count(repo, "/") == 2 }

// isGroup tells whether a repository is a group: <domain>/<group>.
func isGroup(repo string) bool { return strings.Count(repo, "/") == 1 }

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
