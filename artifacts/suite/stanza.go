package suite

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ours are the fields that the lists have from us, in lower case. What a package says there is left out: apt believes every one of them.
var ours = map[string]bool{"filename": true, "size": true, "md5sum": true, "sha1": true, "sha256": true, "sha512": true}

// stanza returns the package's paragraph of a Packages file, with the empty line behind it.
func (p *Package) stanza() (string, error) {
	var b strings.Builder
	b.Grow(len(p.Control) + len(p.Filename) + 160)
	if err := p.copyControl(&b); err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "Filename: %s\nSize: %d\nSHA256: %s\n\n", p.Filename, p.Size, p.SHA256)
	return b.String(), nil
}

// copyControl writes the control paragraph without the fields that are ours. A paragraph that is none, or that tells of another package, would make a list
// that apt reads in another way than we do.
func (p *Package) copyControl(b *strings.Builder) error {
	control := strings.TrimRight(p.Control, "\n")
	if control == "" || len(control) > maxControl || !utf8.ValidString(control) || strings.ContainsAny(control, "\r\x00") {
		return fmt.Errorf("control paragraph: it is empty, longer than %d bytes, or no text", maxControl)
	}
	identity := map[string]string{"package": p.Name, "version": p.Version, "architecture": p.Architecture}
	left, single := false, true // whether the present field is left out, and whether it must be of one line
	for line := range strings.SplitSeq(control, "\n") {
		if strings.Trim(line, " \t") == "" {
			return errors.New("control paragraph: an empty line ends it before its end")
		}
		if line[0] == ' ' || line[0] == '\t' {
			if single {
				return fmt.Errorf("control paragraph: %.100q goes on with a field of one line, or with none", line)
			}
		} else {
			name, value, ok := strings.Cut(line, ":")
			if !ok || !isFieldName(name) {
				return fmt.Errorf("control paragraph: %.100q is no field", line)
			}
			name = strings.ToLower(name)
			left = ours[name]
			var want string
			if want, single = identity[name]; single {
				if strings.Trim(value, " \t") != want {
					return fmt.Errorf("control paragraph: it says %.100q, or says it twice, and the package is %s %s %s", line, p.Name, p.Version, p.Architecture)
				}
				identity[name] = "\n" // which no value is: once is enough
			}
		}
		if !left {
			b.WriteString(line)
			b.WriteByte('\n')
		}
	}
	for name, want := range identity {
		if want != "\n" {
			return fmt.Errorf("control paragraph: it has no field %s", name)
		}
	}
	return nil
}

// isFieldName tells whether s names a field (Debian policy, section 5.1).
func isFieldName(s string) bool {
	return s != "" && s[0] != '#' && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// field returns the value of a field of one line in a paragraph, or "".
func field(paragraph, name string) string {
	for line := range strings.Lines(paragraph) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
