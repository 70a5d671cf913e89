package registry

import (
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// IndexVersion is the version of the table below. An index of a newer version is refused; an older one is brought up at Open.
//
//	1  first release
//	2  a manifest knows which repositories have it, so that its bytes go with the last of them
//	3  a list of referrers has a state; one that it does not have yet gets it with its next change
const IndexVersion = 3

// The table of keys. Parts are joined by '!', which no name, tag or digest holds and which sorts before every character that they
// may hold, so that keys sort as their names do.
//
//	meta/version                         the table's version
//	meta/segment                         first sealed journal line that is not yet in a closed segment, and the open segment's digest
//	meta/transfer                        whose copy the index is to become; there until it is one (package registry/transfer)
//	meta/backup                          who makes a scheduled backup, and what came of the last ones (package registry/transfer)
//	meta/sweep                           the blob that an interrupted sweep goes on behind
//	meta/turn/<what>                     when one of the registries over the index was last at what only one of them need do
//	repo/<repo>                          when the repository got its first manifest; exists while it has one
//	blob/<d>                             size, committed, touched; once nobody holds it: since when, and since when it is being deleted
//	blob/<d>!<repo>                      nothing; the repository holds the blob
//	data/<d>                             a small blob's bytes
//	hold/<repo>!<d>                      size, since; the repository may read the blob
//	doomed/<nanoseconds>!<d>             a blob that nobody holds since then, to be deleted: held when it was, evicted when it was pulled from elsewhere, orphan when it had no row
//	man/<d>                              a manifest's bytes
//	man/<d>!<repo>                       nothing; the repository has the manifest
//	rev/<repo>!<d>                       the manifest's descriptor, when and by whom it was pushed; the repository has the manifest
//	rev/<repo>!<d>!<tag>                 nothing; the tag names the manifest
//	tag/<repo>!<tag>                     the same, as the tag names it
//	ref/<repo>!<subject>!<type>!<d>      the referrer's descriptor as JSON
//	list/<repo>!<subject>                a value that is another one whenever the list of referrers changes; exists while it has any
//	edge/<child>!<repo>!<manifest>       nothing; the manifest keeps the child alive
//	settle/<nanoseconds>!<d>             man or data; bytes to be copied to the blob store
//	pack/<d>                             number of entries; a pack in the blob store
//	segment/<from>                       digest of the journal's segment that begins at line <from>
//	damaged/<d>                          what was found wrong with a blob's content, as JSON
//	damaged/<d>!<repo>                   the row of the repository's hold on it, which it gets back with sound content
//	meta/scrub                           how far a scrub is, and what came of the last one
//	pull/<repo>!<d>                      when the manifest was last pulled, and how often
//	quota/<path>                         what the repositories at and below the path hold together, and whether that was counted (meter.go)
//	upload/<repo>!<id>                   (in the uploads' own database) an upload's state
//
// What is written together lies together where it can, so that a transaction touches few pages: a blob's holders behind the blob, a manifest's
// tags behind the manifest.
//
// journal/… belongs to the journal.
const (
	keyVersion = "meta/version"
	keySegment = "meta/segment"
	keySweep   = "meta/sweep"

	prefixRepo    = "repo/"
	prefixBlob    = "blob/"
	prefixData    = "data/"
	prefixHold    = "hold/"
	prefixMan     = "man/"
	prefixDoomed  = "doomed/"
	prefixPull    = "pull/"
	prefixRev     = "rev/"
	prefixTag     = "tag/"
	prefixRef     = "ref/"
	prefixList    = "list/"
	prefixEdge    = "edge/"
	prefixSettle  = "settle/"
	prefixPack    = "pack/"
	prefixSegment = "segment/"
	prefixQuota   = "quota/"
	prefixUpload  = "upload/"
)

func keyTurn(what string) string                  { return "meta/turn/" + what }
func keyRepo(repo string) string                  { return prefixRepo + repo }
func keyBlob(d digest.Digest) string              { return prefixBlob + string(d) }
func keyData(d digest.Digest) string              { return prefixData + string(d) }
func keyHold(repo string, d digest.Digest) string { return prefixHold + repo + "!" + string(d) }
func keyHeld(d digest.Digest, repo string) string { return keyBlob(d) + "!" + repo }
func keyMan(d digest.Digest) string               { return prefixMan + string(d) }
func keyRev(repo string, d digest.Digest) string  { return prefixRev + repo + "!" + string(d) }
func keyTag(repo, tag string) string              { return prefixTag + repo + "!" + tag }

// keySettle begins with the time, so that what is written together lies together.
func keySettle(now time.Time, d digest.Digest) string {
	return fmt.Sprintf("%s%016x!%s", prefixSettle, now.UnixNano(), d)
}

// keyDoomed begins with the time, so that what waits longest comes first.
func keyDoomed(since time.Time, d digest.Digest) string {
	return fmt.Sprintf("%s%016x!%s", prefixDoomed, since.UnixNano(), d)
}
func keyHas(d digest.Digest, repo string) string  { return keyMan(d) + "!" + repo }
func keyPull(repo string, d digest.Digest) string { return prefixPull + repo + "!" + string(d) }
func keyPack(d digest.Digest) string              { return prefixPack + string(d) }
func keySegmentAt(from uint64) string             { return fmt.Sprintf("%s%016x", prefixSegment, from) }
func keyQuota(path string) string                 { return prefixQuota + path }
func keyUpload(repo, id string) string            { return prefixUpload + repo + "!" + id }
func keyNamed(repo string, d digest.Digest, tag string) string {
	return keyRev(repo, d) + "!" + tag
}
func keyRef(repo string, subject digest.Digest, kind string, d digest.Digest) string {
	return prefixRef + repo + "!" + string(subject) + "!" + kind + "!" + string(d)
}
func keyList(repo string, subject digest.Digest) string {
	return prefixList + repo + "!" + string(subject)
}

// listOf returns the key of the state of the list that a referrer's row is in.
func listOf(key string) (list string, ok bool) {
	rest, ok := strings.CutPrefix(key, prefixRef)
	parts := strings.SplitN(rest, "!", 3)
	if !ok || len(parts) < 3 {
		return "", false
	}
	return keyList(parts[0], digest.Digest(parts[1])), true
}
func keyEdge(child digest.Digest, repo string, man digest.Digest) string {
	return prefixEdge + string(child) + "!" + repo + "!" + string(man)
}

// of returns the prefix of all keys that hold parts of one repository (or of whatever the parts name).
func of(prefix string, parts ...string) string {
	for _, p := range parts {
		prefix += p + "!"
	}
	return prefix
}
