package upstream

import (
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// The keys of the index that belong to what is pulled through.
//
//	up/<repository>!<tag>           when the upstream last said what the tag names, in microseconds, and the digest that it is served as since
//	upref/<repository>!<subject>    when the upstream last listed what refers to a manifest, in microseconds, and that list as JSON
//	upseen/<repository>!<digest>    when a manifest that is held back for its age was first seen, in microseconds
//
// Rows are fields divided by a tab.
func keyChecked(repo, tag string) string { return "up/" + repo + "!" + tag }
func keyReferrers(repo string, subject digest.Digest) string {
	return "upref/" + repo + "!" + string(subject)
}
func keySeen(repo string, d digest.Digest) string { return "upseen/" + repo + "!" + string(d) }

// row joins a time and what was learnt then.
func row(at time.Time, what string) []byte {
	b := strconv.AppendInt(make([]byte, 0, 20+len(what)), at.UnixMicro(), 10)
	return append(append(b, '\t'), what...)
}

// parseRow is the other way round. A row that says no time is of long ago.
func parseRow(b []byte) (at time.Time, what string) {
	micros, what, _ := strings.Cut(string(b), "\t")
	n, _ := strconv.ParseInt(micros, 10, 64)
	return time.UnixMicro(n), what
}
