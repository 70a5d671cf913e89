package artifacts

// The rows of components. Like the registry's (registry/keys.go), parts are joined by '!', which no name or version holds. All of them follow from what
// was pushed, and can be made again from it (see Catalog.Rebuild).
//
//	meta/catalog                   the version of this table
//	comp/<component>               a component, as JSON
//	ver/<component>!<version>      a version with its formats, as JSON; the version as SemVer writes it, without v
//	gone/<component>!<tag>         what a tag that promised something named when it was deleted: it never names anything else
//	made/<component>!<digest>      version and format of a manifest
//	commit/<sha>!<component>!<version>   the version was built from this commit
//	doc/<component>!<version>!<what>     a document of a version, as JSON; what is docker, deb, generic (its manifest.yaml) or metadata
//	wait/<component>!<subject>!<digest>  a document whose subject is not there yet; the digest is its own
//	own/<domain>/<group>                 the ownership.yaml of a group, as JSON
const (
	keyCatalog = "meta/catalog"

	prefixComponent = "comp/"
	prefixVersion   = "ver/"
	prefixGone      = "gone/"
	prefixMade      = "made/"
	prefixCommit    = "commit/"
	prefixDocument  = "doc/"
	prefixWaiting   = "wait/"
	prefixOwner     = "own/"
)

// catalogVersion is the version of the table.
//
//	1  first
const catalogVersion = "1"

func keyComponent(name string) string        { return prefixComponent + name }
func keyVersion(name, version string) string { return prefixVersion + name + "!" + version }
func keyGone(name, tag string) string        { return prefixGone + name + "!" + tag }
func keyMade(name, digest string) string     { return prefixMade + name + "!" + digest }
func keyDocument(name, version, what string) string {
	return prefixDocument + name + "!" + version + "!" + what
}
func keyWaiting(name, subject, digest string) string {
	return prefixWaiting + name + "!" + subject + "!" + digest
}
func keyOwner(group string) string { return prefixOwner + group }
func keyCommit(sha, name, version string) string {
	return prefixCommit + sha + "!" + name + "!" + version
}
