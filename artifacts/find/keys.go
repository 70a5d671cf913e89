package find

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The keys of the index. An id is <component>!<version>. A component holds no byte up to '!', so that ids sort by component, then by version.
//
//	find/of/<id>              what the version is found by: its stamp, then its terms
//	find/n/<term><id>         in the order of names: the version has the term. Empty.
//	find/t/<term><stamp><id>  in the order of time. Empty.
//	find/c/<component>!       a component that has versions. Empty.
//
// Terms are hashes, which are all of one length, whatever a value holds. A stamp is a time of 16 hexadecimal digits of which the newest sorts first.
// Every version has the term everything; and in the order of time, one for each path that it is under, which the order of names can do without.
const (
	// Rows is what all keys of the package begin with.
	Rows = "find/"

	prefixOf     = "find/of/"
	prefixByName = "find/n/"
	prefixByTime = "find/t/"
	prefixHas    = "find/c/"

	everything = "everything......" // no hash has a dot
	width      = 16                 // bytes of a term, and of a stamp
	levels     = 3                  // parts of a path that have a term

	maxComponent = 255
	maxVersion   = 128
)

// term returns the hash of a field's value. 96 bits are enough: whoever finds two values with one hash has them both listed where one is.
func term(field, value string) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(len(field)) + "!" + field + value))
	return base64.RawURLEncoding.EncodeToString(sum[:width*3/4])
}

// under is the term of the versions under a path, or under the longest part of it that has a term.
func under(path string) string {
	all := paths(path)
	return term("", all[len(all)-1])
}

func family(newest bool) string {
	if newest {
		return prefixByTime
	}
	return prefixByName
}

// stamp writes a time.
func stamp(t time.Time) string { return fmt.Sprintf("%0*x", width, ^(uint64(t.UnixMicro()) ^ 1<<63)) }

// created reads a stamp.
func created(text string) (t time.Time, ok bool) {
	n, err := strconv.ParseUint(text, 16, 64)
	t = time.UnixMicro(int64(^n ^ 1<<63)).UTC()
	return t, err == nil && stamp(t) == text
}

func identify(component, version string) (id string, err error) {
	if !isComponent(component) || len(version) == 0 || len(version) > maxVersion {
		return "", fmt.Errorf("version %.40q of component %.40q cannot be listed: a component has 1 to %d bytes without spaces and '!', a version 1 to %d",
			version, component, maxComponent, maxVersion)
	}
	return component + "!" + version, nil
}

func isComponent(s string) bool {
	return len(s) > 0 && len(s) <= maxComponent && !strings.ContainsFunc(s, func(r rune) bool { return r <= '!' })
}

// row is the value of find/of/.
func (e Entry) row() []byte {
	var terms []string
	for field, values := range e.Fields {
		values = slices.Compact(slices.Sorted(slices.Values(values)))
		for _, value := range values[:min(len(values), MaxValues)] {
			terms = append(terms, term(field, value))
		}
	}
	slices.Sort(terms)
	return []byte(stamp(e.Created) + strings.Join(terms, ""))
}

// keys returns the keys of an id with such a row. Without a row there are none.
func keys(id string, row []byte) map[string]bool {
	set := map[string]bool{}
	if len(row) == 0 {
		return set
	}
	stamp := string(row[:width])
	set[prefixByName+everything+id] = true
	set[prefixByTime+everything+stamp+id] = true
	for chunk := range slices.Chunk(row[width:], width) {
		set[prefixByName+string(chunk)+id] = true
		set[prefixByTime+string(chunk)+stamp+id] = true
	}
	component, _, _ := strings.Cut(id, "!")
	for _, path := range paths(component) {
		set[prefixByTime+under(path)+stamp+id] = true
	}
	return set
}

// paths returns the paths that have a term and that a component is under: a, a/b and a/b/c, and not those that are longer.
func paths(component string) (all []string) {
	for i := range len(component) {
		if component[i] == '/' && len(all) < levels {
			all = append(all, component[:i])
		}
	}
	if len(all) < levels {
		all = append(all, component)
	}
	return all
}

// beyond is the smallest string that sorts after s.
func beyond(s string) string { return s + "\x00" }
