package artifacts

import (
	"regexp"
	"strings"
)

// promised matches the tags of a component that mean something: a version (SemVer 2.0.0, with an optional v, and _ for + as Helm writes it), the version of
// one format or of all, a commit, a domain tag, and latest.
var promised = regexp.MustCompile(`^(?:` +
	`(?:deb-|generic-|release-)?v?(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)(?:-[0-9A-Za-z.-]+)?(?:_[0-9A-Za-z.-]+)?` +
	`|commit-[0-9a-f]{7,64}` +
	`|[a-z0-9-]+\.[a-z][a-z0-9-]*` +
	`|latest)$`)

// Component tells whether a repository is a component: <domain>/<group>/<service>.
func Component(repo string) bool { return strings.Count(repo, "/") == 2 }

// Scratch tells whether a tag is one that people use as they like: in a component whatever promises nothing, anywhere else every tag.
func Scratch(repo, tag string) bool { return !Component(repo) || !promised.MatchString(tag) }
