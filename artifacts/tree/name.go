package tree

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
)

const (
	maxName  = 200 // bytes of a file's name: file systems take 255, and programs put something before or behind it while they write
	maxPath  = 400 // bytes of a file's path in the folder of its format
	maxDepth = 8   // folders in one another
)

// byDigest are the names that files are called by their digests. They are nobody else's.
var byDigest = regexp.MustCompile(`^sha(256|512)-[0-9a-f]+$`)

// goodName tells whether something may be called so everywhere: in a file system of any kind, a URL, a list of checksums, a terminal.
func goodName(name string) bool {
	if name == "" || len(name) > maxName || name[0] == '.' || name != strings.Trim(name, " ") || strings.HasSuffix(name, ".") || !utf8.ValidString(name) {
		return false
	}
	strange := func(c rune) bool { return !unicode.IsPrint(c) || c == unicode.ReplacementChar }
	return !strings.ContainsAny(name, `/\<>:"|?*`) && !strings.ContainsFunc(name, strange) && !byDigest.MatchString(name)
}

// goodPath tells whether a file may have a path: names with slashes between. Whoever unescapes it once too often must not find another one.
func goodPath(p string) bool {
	if len(p) > maxPath || strings.Count(p, "/") > maxDepth {
		return false
	}
	for part := range strings.SplitSeq(p, "/") {
		for {
			if !goodName(part) {
				return false
			}
			again, err := url.PathUnescape(part)
			if err != nil || again == part {
				break
			}
			part = again
		}
	}
	return true
}

// placed are the paths that files have in the folder of their format.
type placed struct {
	taken   map[string]bool // of files
	folders map[string]bool
}

func newPlaced(reserved ...string) *placed {
	p := &placed{taken: map[string]bool{}, folders: map[string]bool{}}
	for _, name := range reserved {
		p.taken[name] = true
	}
	return p
}

// place returns where a file is: where its name says, else under its digest. The same content has just one place of the latter kind; then ok is false.
func (p *placed) place(f artifacts.File) (at string, ok bool) {
	at = f.Name
	if !p.free(at) {
		at = digestName(f.Digest)
		if p.taken[at] {
			return "", false
		}
	}
	p.taken[at] = true
	for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
		p.folders[dir] = true
	}
	return at, true
}

func (p *placed) free(at string) bool {
	if !goodPath(at) || p.taken[at] || p.folders[at] {
		return false
	}
	for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
		if p.taken[dir] {
			return false
		}
	}
	return true
}

func digestName(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }
