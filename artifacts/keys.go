package artifacts

import (
	"fmt"
	"strings"
	"time"
)

// The rows of components. Like the registry's (registry/keys.go), parts are joined by '!', which no name or version holds. All of them follow from what
// was pushed, and can be made again from it (see Catalog.Rebuild).
//
//	meta/catalog                   the version of this table
//	meta/catalog-rules             how grave the configuration took each rule when versions were judged
//	comp/<component>               a component, as JSON
//	ver/<component>!<version>      a version with its formats, as JSON; the version as SemVer writes it, without v
//	gone/<component>!<tag>         what a tag that promised something named when it was deleted: it never names anything else
//	made/<component>!<digest>!<version>  the format that a manifest is of a version; one may be several versions: a candidate, and then the release
//	commit/<sha>!<component>!<version>   the version was built from this commit
//	doc/<component>!<version>!<what>     a document of a version, as JSON; what is docker, deb, generic (its manifest.yaml) or metadata
//	wait/<component>!<subject>!<digest>  a document whose subject is not there yet; the digest is its own
//	own/<domain>/<group>                 the ownership.yaml of a group, as JSON
//	rule/<domain>/<group>                its policy.yaml, as JSON
//	past/<component>!<time>              the latest good version from that time on; empty: there was none. The time in microseconds, as 16 hexadecimal digits
//	pool/<component>!<file>!<version>    a Debian package by the name of its file, as JSON
//	need/<service>!<component>!<version> what a version needs of components called so, as JSON
//	find/…                               see package find
//
// Where versions are deployed, which nothing but these rows and the journal tells:
//
//	dom/<domain>!<environment>!<component>  what is deployed there, as JSON
//	at/<component>!<place>                  it is deployed there; a place is cloud.prod
//	move/<inverse id>                       a move of a domain tag, as JSON; the inverse id sorts the newest first
//	moved/<component>!<inverse id>          the component's
//	movedat/<place>!<inverse id>            those at a place: component, tab, the version that it was moved to
//	suite/<name>                            an apt suite as it is published, as JSON
//	snap/<name>!<time>                      a snapshot of it, as JSON; the time as in its Release, as 16 hexadecimal digits of seconds
const (
	keyCatalog = "meta/catalog"
	keyRules   = "meta/catalog-rules"

	prefixComponent = "comp/"
	prefixVersion   = "ver/"
	prefixGone      = "gone/"
	prefixMade      = "made/"
	prefixCommit    = "commit/"
	prefixDocument  = "doc/"
	prefixWaiting   = "wait/"
	prefixOwner     = "own/"
	prefixPolicy    = "rule/"
	prefixPast      = "past/"
	prefixPool      = "pool/"
	prefixNeed      = "need/"

	prefixDeployed = "dom/"
	prefixAt       = "at/"
	prefixMove     = "move/"
	prefixMoved    = "moved/"
	prefixMovedAt  = "movedat/"
	prefixSuite    = "suite/"
	prefixSnapshot = "snap/"
)

// catalogVersion is the version of the table.
//
//	1  first
const catalogVersion = "1"

func keyComponent(name string) string        { return prefixComponent + name }
func keyVersion(name, version string) string { return prefixVersion + name + "!" + version }
func keyGone(name, tag string) string        { return prefixGone + name + "!" + tag }
func keyMade(name, digest, version string) string {
	return prefixMade + name + "!" + digest + "!" + version
}
func keyDocument(name, version, what string) string {
	return prefixDocument + name + "!" + version + "!" + what
}
func keyWaiting(name, subject, digest string) string {
	return prefixWaiting + name + "!" + subject + "!" + digest
}
func keyOwner(group string) string  { return prefixOwner + group }
func keyPolicy(group string) string { return prefixPolicy + group }
func keyPast(name string, t time.Time) string {
	return prefixPast + name + "!" + micros(t)
}
func keyPool(name, file, version string) string {
	return prefixPool + name + "!" + file + "!" + version
}
func keyNeed(service, name, version string) string {
	return prefixNeed + service + "!" + name + "!" + version
}
func keyDeployed(p Place, name string) string {
	return prefixDeployed + p.Domain + "!" + p.Environment + "!" + name
}
func keyAt(name string, p Place) string    { return prefixAt + name + "!" + p.Tag() }
func keyMove(id string) string             { return prefixMove + inverse(id) }
func keyMoved(name, id string) string      { return prefixMoved + name + "!" + inverse(id) }
func keyMovedAt(p Place, id string) string { return prefixMovedAt + p.Tag() + "!" + inverse(id) }
func keySuite(name string) string          { return prefixSuite + name }
func keySnapshot(name string, t time.Time) string {
	return prefixSnapshot + name + "!" + fmt.Sprintf("%016x", t.Unix())
}

// micros writes a time so that it sorts.
func micros(t time.Time) string { return fmt.Sprintf("%016x", t.UnixMicro()) }

// inverse turns the order of hexadecimal ids around.
func inverse(id string) string {
	const digits = "0123456789abcdef"
	out := []byte(id)
	for i, c := range out {
		if at := strings.IndexByte(digits, c); at >= 0 {
			out[i] = digits[len(digits)-1-at]
		}
	}
	return string(out)
}
func keyCommit(sha, name, version string) string {
	return prefixCommit + sha + "!" + name + "!" + version
}
