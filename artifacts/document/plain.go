package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

const (
	// depthLimit is how deep maps and lists may stand in one another. No document needs more than three levels.
	depthLimit = 100

	// aliasLimit is how many aliases a document may have. Each can ask for as much as its anchor holds.
	aliasLimit = 100

	mergeTag = "!!merge"

	// fatal ends the name of the one rule of each kind without which nothing can be read.
	fatal = ".yaml"
)

// broken says why the text as a whole is no document.
func (r *reader) broken(at Position, problem, fix string) {
	r.fault(strings.TrimPrefix(fatal, "."), at, "", problem, fix)
}

// open returns the map that a text holds, or nil and says what the text is instead.
func (r *reader) open(text []byte) *yaml.Node {
	if most := r.kind.MaxSize(); len(text) > most {
		r.broken(Position{1, 1}, fmt.Sprintf("the document has %d bytes", len(text)), fmt.Sprintf("at most %d are taken", most))
		return nil
	}
	if !r.legible(text) {
		return nil
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	err := d.Decode(&doc)
	if err == nil {
		switch err = d.Decode(&second); {
		case errors.Is(err, io.EOF):
			return r.root(doc.Content[0])
		case err == nil:
			r.broken(position(&second), "a second document begins here", "write one document in each file")
			return nil
		}
	}
	if errors.Is(err, io.EOF) {
		r.broken(Position{1, 1}, "the document is empty", "write at least "+r.needed())
		return nil
	}
	r.broken(syntax(err, text))
	return nil
}

func (r *reader) root(n *yaml.Node) *yaml.Node {
	aliases := 0
	r.walk(n, 1, &aliases)
	if isNull(n) {
		r.broken(position(n), "the document is empty", "write at least "+r.needed())
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.broken(position(n), "the document is "+describe(n)+", but it takes a map", "write keys and their values: "+r.needed())
		return nil
	}
	return n
}

// needed names the required fields.
func (r *reader) needed() string {
	var names []string
	for _, f := range r.kind.blank().fields() {
		if f.required {
			names = append(names, f.name)
		}
	}
	return list(names)
}

// walk finds what YAML has and no document needs. It does not follow aliases.
func (r *reader) walk(n *yaml.Node, depth int, aliases *int) {
	if depth > depthLimit {
		r.broken(position(n), fmt.Sprintf("maps and lists stand more than %d deep in one another", depthLimit), "no document needs more than three levels")
		return
	}
	switch {
	case n.Kind == yaml.AliasNode:
		if *aliases++; *aliases == aliasLimit+1 {
			r.broken(position(n), fmt.Sprintf("there are more than %d aliases", aliasLimit), "write the values themselves")
		}
	case tagged(n):
		r.broken(position(n), "the tag "+clip(n.Tag)+" is not taken", "remove it, and write text in quotes")
	case n.Tag == mergeTag:
		r.broken(position(n), "the merge key << is not taken", "write the keys themselves")
	}
	for _, child := range n.Content {
		if r.more {
			return
		}
		r.walk(child, depth+1, aliases)
	}
}

// legible tells whether the text is UTF-8 without control characters and directives. The parser would find them too, but cannot say where;
// and many thousand directives would keep it busy for seconds.
func (r *reader) legible(text []byte) bool {
	at := Position{1, 1}
	for i, size := 0, 0; i < len(text); i += size {
		var c rune
		c, size = utf8.DecodeRune(text[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			r.broken(at, fmt.Sprintf("the byte 0x%02x is not UTF-8", text[i]), "save the file as UTF-8")
			return false
		case c < ' ' && c != '\t' && c != '\n' && c != '\r', c >= 0x7f && c < 0xa0 && c != 0x85:
			r.broken(at, fmt.Sprintf("the control character 0x%02x is not taken", c), "remove it, or write it in double quotes as \""+fmt.Sprintf(`\x%02x`, c)+"\"")
			return false
		case c == '%' && at.Column == 1:
			r.broken(at, "a line begins with %: directives are not taken", "remove the line")
			return false
		}
		switch {
		case c == '\n', c == '\r' && !bytes.HasPrefix(text[i+size:], []byte("\n")), c == 0x85, c == 0x2028, c == 0x2029:
			at.Line++
			at.Column = 1
		case c != 0xfeff: // a byte order mark takes no place
			at.Column++
		}
	}
	return true
}

var (
	yamlLine   = regexp.MustCompile(`^line (\d+): `)
	yamlAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced`)
)

// syntax says in our words where the parser gave up and why. It knows no columns, and for some faults only where the map or list began that
// it was reading.
func syntax(err error, text []byte) (Position, string, string) {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	at := Position{1, 1}
	if m := yamlLine.FindStringSubmatch(what); m != nil {
		at.Line, _ = strconv.Atoi(m[1])
		what = strings.TrimPrefix(what, m[0])
	}
	switch {
	case strings.HasPrefix(what, "did not find expected ") && !strings.HasSuffix(what, "alphabetic or numeric character"):
		at.Line++ // it counts from 0 here
		return at, "the text from this line on is not YAML: " + clip(what), "look for a wrong indentation, a missing quote, comma or bracket"
	case strings.HasPrefix(what, "mapping values are not allowed"):
		return at, "the text is not YAML: a colon stands where no key can be", "put text that has a colon and a space in quotes, and check the indentation"
	case strings.Contains(what, "tab character"):
		return at, "the text is not YAML: a tab stands where a line is indented", "indent with spaces"
	case strings.HasPrefix(what, "found character that cannot start any token"):
		return at, "the text is not YAML: no value can begin so", "indent with spaces, not tabs, and put text that begins with @, ` or % in quotes"
	case strings.HasSuffix(what, "alphabetic or numeric character"):
		return at, "the text is not YAML: an anchor or alias has no name", "put text that begins with * or & in quotes"
	case strings.HasPrefix(what, "found unexpected end of stream"), strings.HasPrefix(what, "found unexpected document indicator"):
		return at, "the text is not YAML: a quote is never closed", "close it"
	}
	if m := yamlAnchor.FindStringSubmatch(what); m != nil {
		// No line is told, but what was written can be found.
		before, _, _ := bytes.Cut(text, []byte("*"+m[1]))
		at.Line += bytes.Count(before, []byte("\n"))
		return at, "the text is not YAML: *" + clip(m[1]) + " stands for nothing", "put text that begins with * in quotes"
	}
	return at, "the text is not YAML: " + clip(what), "look for a wrong indentation or a missing quote"
}
