package document

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Render writes a document as YAML: the fields in the order of the schema, entries of maps and lists of components by name, every value always
// quoted in the same way. The same values give the same bytes, and [Parse] gives the values back.
//
// A draft may lack values: of what is required and missing, a comment stands in its place and says what belongs there.
//
// Render checks nothing. A value that breaks a rule is written as it is, and Parse says so.
func Render(doc Document) []byte {
	var b strings.Builder
	for _, f := range doc.fields() {
		switch value := f.value.yaml(); {
		case value != "":
			b.WriteString(f.name + ":" + value + "\n")
		case f.required:
			b.WriteString("# " + f.name + ": " + f.says + "\n")
		}
	}
	return []byte(b.String())
}

var (
	// bareWord is what every reader of YAML takes for text, if it is none of the words below.
	bareWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./@+-]*(?::[A-Za-z0-9_./@+-]+)*$`)

	// bareVersion has three numbers, so that it is none.
	bareVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(?:[-+][0-9A-Za-z.+-]*)?$`)

	// spokenFor mean something else than text, in YAML 1.1 or 1.2.
	spokenFor = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
)

// scalar writes a text, in double quotes if it needs them or shall have them.
func scalar(s string, quoted bool) string {
	bare := bareWord.MatchString(s) && !slices.Contains(spokenFor, strings.ToLower(s)) || bareVersion.MatchString(s)
	if bare && !quoted {
		return s
	}
	// Go's escapes are some of YAML's.
	return strconv.Quote(strings.ToValidUTF8(s, "�"))
}
