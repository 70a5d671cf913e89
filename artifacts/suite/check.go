package suite

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/entrepot/entrepot/artifacts/deb"
)

const (
	maxName          = 128
	maxLine          = 256
	maxPath          = 1 << 10
	maxControl       = 1 << 20
	maxComponents    = 1000
	maxArchitectures = 100
	minValidFor      = time.Hour
)

// nameForm matches what is safe as a word of sources.list(5), in a path, in a file name that apt reads, and between the quotes of a shell.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// CheckName checks the name of a suite or of a component: lower-case letters, digits, full stops, dashes and underscores, beginning with a letter or digit.
func CheckName(s string) error {
	switch {
	case s == "":
		return errors.New("the name is empty")
	case len(s) > maxName:
		return fmt.Errorf("the name has %d bytes, more than %d: shorten it", len(s), maxName)
	case !nameForm.MatchString(s):
		return fmt.Errorf("%q: use lower-case letters, digits, full stops, dashes and underscores, beginning with a letter or a digit", s)
	}
	return nil
}

// Check tells what Build would not take.
func (s Suite) Check() error {
	if err := CheckName(s.Name); err != nil {
		return fmt.Errorf("name of the suite: %w", err)
	}
	for _, line := range []struct{ field, value string }{{"Origin", s.Origin}, {"Label", s.Label}, {"Description", s.Description}} {
		if err := checkLine(line.value); err != nil {
			return fmt.Errorf("%s: %w", line.field, err)
		}
	}
	for _, c := range s.Components {
		if err := CheckName(c); err != nil {
			return fmt.Errorf("component: %w", err)
		}
	}
	for _, a := range s.Architectures {
		if err := checkArchitecture(a); err != nil {
			return err
		}
	}
	if s.ValidFor != 0 && s.ValidFor < minValidFor {
		return fmt.Errorf("valid for %s: choose at least %s, or 0 for ever", s.ValidFor, minValidFor)
	}
	return nil
}

// checkArchitecture checks one for which there is a list.
func checkArchitecture(a string) error {
	if a == all {
		return errors.New("architecture: all is listed with every other one, name those")
	}
	return deb.CheckArchitecture(a)
}

// checkLine checks a text that stands behind the name of a field.
func checkLine(s string) error {
	switch {
	case len(s) > maxLine:
		return fmt.Errorf("it has %d bytes, more than %d: shorten it", len(s), maxLine)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable):
		return fmt.Errorf("%.100q: write one line of text", s)
	case s != strings.TrimSpace(s):
		return fmt.Errorf("%q: remove the blanks at its ends", s)
	}
	return nil
}

func unprintable(r rune) bool { return !unicode.IsGraphic(r) }

// follows tells what would make hosts that have the snapshot before refuse the next.
func (s Suite) follows(before *Snapshot) error {
	if before.Suite != s.Name {
		return fmt.Errorf("the snapshot before is one of %.100q: each suite follows itself", before.Suite)
	}
	release := before.Files[Release]
	if !release.known() {
		return nil
	}
	for _, line := range []struct{ field, value string }{{"Origin", s.Origin}, {"Label", s.Label}} {
		if was := field(string(release.Content), line.field); was != line.value {
			return fmt.Errorf("%s is %q, and was %q: hosts refuse a suite whose %[1]s changes, leave it as it was", line.field, line.value, was)
		}
	}
	return nil
}

// Check tells what Build would not take. One such package keeps its whole suite from being built: look before it becomes part of one. What package deb
// accepts, with a path made of its file name, is fine.
func (p Package) Check() error {
	_, err := p.check()
	if err == nil {
		_, err = p.stanza()
	}
	if err != nil {
		return p.fault(err)
	}
	return nil
}

func (p *Package) fault(err error) error {
	return fmt.Errorf("package %.128s %.128s %.32s in %.200q: %w", p.Name, p.Version, p.Architecture, p.Filename, err)
}

// check tells what is wrong with a package besides its control paragraph, and returns its version.
func (p *Package) check() (deb.Version, error) {
	if err := deb.CheckPackageName(p.Name); err != nil {
		return deb.Version{}, err
	}
	version, err := deb.ParseVersion(p.Version)
	if err != nil {
		return deb.Version{}, err
	}
	if err := deb.CheckArchitecture(p.Architecture); err != nil {
		return deb.Version{}, err
	}
	if err := CheckName(p.Component); err != nil {
		return deb.Version{}, fmt.Errorf("component: %w", err)
	}
	if err := checkPath(p.Filename); err != nil {
		return deb.Version{}, fmt.Errorf("file name: %w", err)
	}
	if !isHash(p.SHA256) {
		return deb.Version{}, fmt.Errorf("SHA-256 %.100q: write it as 64 lower-case hex digits", p.SHA256)
	}
	if p.Size <= 0 {
		return deb.Version{}, fmt.Errorf("size %d: no package is that short", p.Size)
	}
	return version, nil
}

// pathForm matches paths that apt joins to the base URI. It escapes ~ and + itself; a % would be read as the beginning of an escape.
var pathForm = regexp.MustCompile(`^[A-Za-z0-9._~+:/-]+$`)

func checkPath(s string) error {
	if len(s) > maxPath || !pathForm.MatchString(s) || s[0] == '/' || path.Clean(s) != s || s == "." || s == ".." || strings.HasPrefix(s, "../") {
		return fmt.Errorf("%.200q: use a clean relative path of letters, digits and ._~+:-", s)
	}
	return nil
}
