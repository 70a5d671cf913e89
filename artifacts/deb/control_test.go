package deb_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts/deb"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
)

const good = "Package: hello\nVersion: 1.0\nArchitecture: amd64\nMaintainer: A Team <team@example.com>\nDescription: says hello\n"

func TestParseControl(t *testing.T) {
	text := "Package:hello\nVERSION: \t1:1.0-1  \nArchitecture: all\nmaintainer: Zoë <zoe@example.com>\nDepends: a,\n b (>= 1)  ,\n\tc\n" +
		"Description: says hello \n to\t everybody\n .\n  verbatim: yes\nX-Empty:\nX-List:\n a\n b\nInstalled-Size: 12.5\nTag: a::b\n"
	c, err := deb.ParseControl(text + "\n\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []deb.Field{
		{"Package", "hello", 1}, {"VERSION", "1:1.0-1", 2}, {"Architecture", "all", 3}, {"maintainer", "Zoë <zoe@example.com>", 4},
		{"Depends", "a,\n b (>= 1)  ,\n\tc", 5}, {"Description", "says hello \n to\t everybody\n .\n  verbatim: yes", 8},
		{"X-Empty", "", 12}, {"X-List", "\n a\n b", 13}, {"Installed-Size", "12.5", 16}, {"Tag", "a::b", 17},
	}
	if !slices.Equal(c.Fields, want) {
		t.Errorf("fields\n%+v, want\n%+v", c.Fields, want)
	}
	if c.Text != text {
		t.Errorf("text\n%q, want\n%q", c.Text, text)
	}
	if c.Version().Epoch != 1 || c.Filename() != "hello_1.0-1_all.deb" || c.Maintainer() != "Zoë <zoe@example.com>" {
		t.Errorf("version %s, file %s, maintainer %s", c.Version(), c.Filename(), c.Maintainer())
	}
	var warnings []string
	for _, w := range c.Warnings {
		warnings = append(warnings, w.Error())
	}
	if said := []string{
		`control line 12 (X-Empty): is empty; leave the field out`,
		`control line 16 (Installed-Size): is "12.5"; write the size in KiB, in digits alone`,
	}; !slices.Equal(warnings, said) {
		t.Errorf("warnings %q, want %q", warnings, said)
	}
}

func TestParseControl_warns_of_no_maintainer(t *testing.T) {
	c, err := deb.ParseControl(strings.Replace(good, "Maintainer: A Team <team@example.com>\n", "", 1))
	if err != nil || len(c.Warnings) != 1 || c.Warnings[0].Error() != `control: has no field Maintainer; add it, as "Maintainer: A Team <team@example.com>"` {
		t.Errorf("warnings %v, %v", c.Warnings, err)
	}
}

func TestParseControl_says_what_is_wrong(t *testing.T) {
	const (
		reserved = ": does not belong here: the repository writes it into its lists; remove it"
		dpkg     = ": does not belong here: dpkg writes it into its own files; remove it"
		blank    = `; write an empty line of a description as " ."`
		one      = `: is empty and ends the paragraph, though more follows; a package has one paragraph; write an empty line of a description as " ."`
		names    = "; names are of two ASCII characters or more, without blanks and colons, and do not begin with -"
		name     = "; use two or more of lower-case letters, digits, +, - and ., beginning with a letter or a digit"
		arch     = "; use one of those that `dpkg-architecture -L` lists, or all"
		relation = "; write a package, with its version in parentheses if need be, as hello (>= 2.10)"
		operator = "; use one of <<, <=, =, >= and >>"
	)
	with := func(more string) string { return good + more + "\n" }
	instead := func(name, value string) string {
		var lines []string
		for _, line := range strings.SplitAfter(good, "\n") {
			switch {
			case !strings.HasPrefix(line, name+":"):
				lines = append(lines, line)
			case value != "":
				lines = append(lines, name+": "+value+"\n")
			}
		}
		return strings.Join(lines, "")
	}
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", []string{`control: is empty; write at least Package, Version, Architecture, Maintainer and Description`}},
		{"\n\n", []string{`control: is empty; write at least Package, Version, Architecture, Maintainer and Description`}},
		{"X-Own: 1\n", []string{
			`control: has no field Package; add it, as "Package: hello"`,
			`control: has no field Version; add it, as "Version: 1.0-1"`,
			`control: has no field Architecture; add it, as "Architecture: amd64", or all for a package without machine code`,
			`control: has no field Description; add it, as "Description: says hello"`,
		}},
		{strings.TrimSuffix(good, "\n"), []string{`control line 5: has no newline at its end; end the file with a newline`}},
		{"\n" + good, []string{`control line 1` + one}},
		{good + "\nPackage: other\n", []string{`control line 6` + one, `control line 7 (Package): is there already, in line 1; keep one of them`}},
		{with(" first\n  \t\n last"), []string{`control line 7: has nothing but blanks` + blank}},
		{" Package: hello\n" + good, []string{`control line 1: begins with a blank, and there is no field that it could go on with; begin with Package`}},
		{strings.ReplaceAll(good, "\n", "\r\n"), []string{
			`control line 1: has the character U+000D; end lines with a newline alone, as Unix does`,
			`control line 2: has the character U+000D; end lines with a newline alone, as Unix does`,
			`control line 3: has the character U+000D; end lines with a newline alone, as Unix does`,
			`control line 4: has the character U+000D; end lines with a newline alone, as Unix does`,
			`control line 5: has the character U+000D; end lines with a newline alone, as Unix does`,
		}},
		{with(" a\x00b"), []string{`control line 6: has the character U+0000; remove it`}},
		{with(" a\x1b[2Jb"), []string{`control line 6: has the character U+001B; remove it`}},
		{with(" a\vb\n a\fb\n a\u0085b\n a\u2028b\n a\u2029b\n a\x7fb"), []string{
			`control line 6: has the character U+000B; remove it`, `control line 7: has the character U+000C; remove it`, `control line 8: has the character U+0085; remove it`,
			`control line 9: has the character U+2028; remove it`, `control line 10: has the character U+2029; remove it`, `control line 11: has the character U+007F; remove it`,
		}},
		{with(" Zo\xeb"), []string{`control line 6: is not UTF-8: " Zo\xeb"; save the file as UTF-8`}},
		{"\ufeff" + good, []string{`control line 1: has the field name "\ufeffPackage"` + names}},
		{with("X : 1"), []string{`control line 6: has the field name "X "` + names}},
		{with("X: 1"), []string{`control line 6: has the field name "X"` + names}},
		{with(": 1"), []string{`control line 6: has the field name ""` + names}},
		{with("-Own: 1"), []string{`control line 6: has the field name "-Own"` + names}},
		{with("Own Field: 1"), []string{`control line 6: has the field name "Own Field"` + names}},
		{with("Größe: 1"), []string{`control line 6: has the field name "Größe"` + names}},
		{with("# a comment"), []string{`control line 6: is a comment; remove it: the control file of a package has none`}},
		{with("#Own: 1"), []string{`control line 6: is a comment; remove it: the control file of a package has none`}},
		{with("not indented"), []string{`control line 6: "not indented" has no colon; write a field as "Name: value", and begin a line that goes on with one with a blank`}},
		{with("VERSION: 2"), []string{`control line 6 (VERSION): is there already, in line 2; keep one of them`}},
		{with("x-own: 1\nX-Own: 2\nX-OWN: 3"), []string{`control line 7 (X-Own): is there already, in line 6; keep one of them`, `control line 8 (X-OWN): is there already, in line 6; keep one of them`}},

		{instead("Package", ""), []string{`control: has no field Package; add it, as "Package: hello"`}},
		{instead("Package", " "), []string{`control line 1 (Package): is empty` + name}},
		{instead("Package", "Hello"), []string{`control line 1 (Package): "Hello" has 'H' at position 1` + name}},
		{instead("Package", "-hello"), []string{`control line 1 (Package): "-hello" has '-' at position 1` + name}},
		{instead("Package", "hello_x"), []string{`control line 1 (Package): "hello_x" has '_' at position 6` + name}},
		{instead("Package", "../x"), []string{`control line 1 (Package): "../x" has '.' at position 1` + name}},
		{instead("Package", "a/b"), []string{`control line 1 (Package): "a/b" has '/' at position 2` + name}},
		{instead("Package", "hello\n other"), []string{`control line 1 (Package): "hello\n other" has '\n' at position 6` + name}},
		{instead("Package", "a"), []string{`control line 1 (Package): "a" is too short` + name}},
		{instead("Package", strings.Repeat("a", 129)), []string{`control line 1 (Package): "` + strings.Repeat("a", 60) + `"… has 129 bytes, more than 128; shorten it`}},
		{instead("Version", "v1"), []string{`control line 2 (Version): "v1" does not begin with a digit; put 0~ before it, or leave a leading v out`}},
		{instead("Version", "1.0\n 2"), []string{`control line 2 (Version): "1.0\n 2" has '\n' in it; use letters, digits, ., +, - and ~`}},
		{instead("Architecture", "any"), []string{`control line 3 (Architecture): "any" stands for several` + arch}},
		{instead("Architecture", "linux-any"), []string{`control line 3 (Architecture): "linux-any" stands for several` + arch}},
		{instead("Architecture", "source"), []string{`control line 3 (Architecture): "source" is none of binary packages` + arch}},
		{instead("Architecture", "amd64 arm64"), []string{`control line 3 (Architecture): "amd64 arm64" has ' ' at position 6` + arch}},
		{instead("Architecture", "x86_64"), []string{`control line 3 (Architecture): "x86_64" has '_' at position 4` + arch}},
		{instead("Architecture", "AMD64"), []string{`control line 3 (Architecture): "AMD64" has 'A' at position 1` + arch}},
		{instead("Description", "  "), []string{`control line 5 (Description): is empty; say in a line what the package is`}},

		{with("Filename: pool/x.deb\nsize: 1\nMD5sum: 0\nSHA1: 0\nSHA256: 0\nSHA512: 0\nDescription-md5: 0"), []string{
			`control line 6 (Filename)` + reserved, `control line 7 (size)` + reserved, `control line 8 (MD5sum)` + reserved, `control line 9 (SHA1)` + reserved,
			`control line 10 (SHA256)` + reserved, `control line 11 (SHA512)` + reserved, `control line 12 (Description-md5)` + reserved,
		}},
		{with("Status: install ok installed\nConffiles:\n /etc/x 0\nConfig-Version: 1"), []string{
			`control line 6 (Status)` + dpkg, `control line 7 (Conffiles)` + dpkg, `control line 9 (Config-Version)` + dpkg,
		}},
		{with("Revision: 3"), []string{`control line 6 (Revision): does not belong here: dpkg would put it behind the version, which apt does not; remove it`}},
		{with("Multi-Arch: both\nEssential: maybe\nProtected: 1"), []string{
			`control line 6 (Multi-Arch): is "both"; write no, same, foreign or allowed`, `control line 7 (Essential): is "maybe"; write yes or no`, `control line 8 (Protected): is "1"; write yes or no`,
		}},
		{strings.Replace(with("Multi-Arch: same"), "amd64", "all", 1), []string{`control line 6 (Multi-Arch): is same, though the architecture is all; write foreign, or leave it out`}},

		{with("Depends: a,"), []string{`control line 6 (Depends): names no package between two commas; remove the comma that is too many`}},
		{with("Depends: a,,b |"), []string{
			`control line 6 (Depends): names no package between two commas; remove the comma that is too many`,
			`control line 6 (Depends): names no package between two commas; remove the comma that is too many`,
		}},
		{with("Depends:\n a"), []string{`control line 6 (Depends): has nothing behind the colon, where dpkg looks for the first package; begin the list in the line of the field's name`}},
		{with("Depends: a ${shlibs:Depends}"), []string{`control line 6 (Depends): has "${shlibs:Depends}" behind the name in "a ${shlibs:Depends}"` + relation}},
		{with("Depends: ${misc:Depends}"), []string{`control line 6 (Depends): names a package "${misc" in "${misc:Depends}"` + relation}},
		{with("Depends: a [amd64]\nSuggests: b <!nocheck>"), []string{
			`control line 6 (Depends): has "[amd64]" behind the name in "a [amd64]"` + relation, `control line 7 (Suggests): has "<!nocheck>" behind the name in "b <!nocheck>"` + relation,
		}},
		{with("Depends: a (>= 1.0, b"), []string{`control line 6 (Depends): has "(>= 1.0" behind the name in "a (>= 1.0"` + relation}},
		{with("Depends: a (>= 1.0) b"), []string{`control line 6 (Depends): has "(>= 1.0) b" behind the name in "a (>= 1.0) b"` + relation}},
		{with("Depends: a (1.0)\nPre-Depends: a (== 1)\nRecommends: a (=> 1)\nBreaks: a (!= 1)"), []string{
			`control line 6 (Depends): has the operator "" in "a (1.0)"` + operator, `control line 7 (Pre-Depends): has the operator "==" in "a (== 1)"` + operator,
			`control line 8 (Recommends): has the operator "=>" in "a (=> 1)"` + operator, `control line 9 (Breaks): has the operator "" in "a (!= 1)"` + operator,
		}},
		{with("Depends: a (>= x)"), []string{`control line 6 (Depends): has a version in "a (>= x)" that "x" does not begin with a digit; put 0~ before it, or leave a leading v out`}},
		{with("Depends: a (>= )"), []string{`control line 6 (Depends): has a version in "a (>= )" that is empty; write [epoch:]upstream[-revision], as 1.0-1`}},
		{with("Depends: a:\nSuggests: a:x_y"), []string{`control line 6 (Depends): has the architecture "" in "a:"; write :any, or nothing`, `control line 7 (Suggests): has the architecture "x_y" in "a:x_y"; write :any, or nothing`}},
		{with("Conflicts: a | b\nProvides: a (>= 1), b (= 1)"), []string{
			`control line 6 (Conflicts): offers alternatives in "a | b"; this field takes commas only`, `control line 7 (Provides): has the operator ">=" in "a (>= 1)"; one provides an exact version, with =`,
		}},
		{"Package: Hello\nVersion: \nArchitecture: x y\nDepends: a,\n", []string{
			`control line 1 (Package): "Hello" has 'H' at position 1` + name, `control line 2 (Version): is empty; write [epoch:]upstream[-revision], as 1.0-1`,
			`control line 3 (Architecture): "x y" has ' ' at position 2` + arch, `control line 4 (Depends): names no package between two commas; remove the comma that is too many`,
			`control: has no field Description; add it, as "Description: says hello"`,
		}},
	} {
		_, err := deb.ParseControl(c.text)
		var faults deb.Errors
		if !errors.As(err, &faults) || err.Error() != strings.Join(c.want, "\n") {
			t.Errorf("%q:\n%v\nwant\n%s", c.text, err, strings.Join(c.want, "\n"))
		}
		var first *deb.Error
		if errors.As(err, &first) && first.Error() != c.want[0] {
			t.Errorf("%q: the first fault is %v, want %s", c.text, first, c.want[0])
		}
	}
}

func TestParseControl_accepts_relations_as_dpkg_does(t *testing.T) {
	for _, value := range []string{"a", "a, b", "a|b", "a | b,c", "a (>= 1)", "a(>=1)", "a ( >= 1:1.0~x-1 )", "a:any", "a:amd64 (= 1)", "A_b", "g++", "a (< 1), b (> 1)", "a,\n b", "a\n | b"} {
		if _, err := deb.ParseControl(good + "Depends: " + value + "\n"); err != nil {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestParseControl_lists_no_more_faults_than_anybody_reads(t *testing.T) {
	for name, text := range map[string]string{
		"lines":     strings.Repeat("x\n", 1000),
		"relations": good + "Depends: " + strings.Repeat(",", 1000) + "\n",
		"fields":    good + strings.Repeat("Size: 1\n", 1000),
	} {
		_, err := deb.ParseControl(text)
		var faults deb.Errors
		if !errors.As(err, &faults) || len(faults) != 21 || faults[20].Error() != "control: has more faults; mend these and look again" {
			t.Errorf("%s: %d faults, %v", name, len(faults), faults)
		}
	}
}

func TestParseControl_bounds_the_fields(t *testing.T) {
	fields := func(n int) string {
		text := good
		for i := range n {
			text += fmt.Sprintf("X-%d: 1\n", i)
		}
		return text
	}
	if _, err := deb.ParseControl(fields(251)); err != nil {
		t.Error(err)
	}
	if _, err := deb.ParseControl(fields(252)); err == nil || err.Error() != "control line 257 (X-251): comes behind 256 others; remove some fields" {
		t.Errorf("257 fields: %v", err)
	}
}

// Texts of a megabyte that would take minutes if each line or word were not looked at just once.
func TestParseControl_is_quick(t *testing.T) {
	const much = 1 << 20
	for name, text := range map[string]string{
		"lines":               good + strings.Repeat(" x\n", much/3),
		"blanks before lines": good + "X-Own:" + strings.Repeat(" ", much/2) + "x\n" + strings.Repeat(" x\n", much/6),
		"blanks behind lines": good + "X-Own: x" + strings.Repeat(" ", much/2) + "\n" + strings.Repeat(" x\n", much/6),
		"empty lines":         good + strings.Repeat("\n", much),
		"faults":              strings.Repeat("x\n", much/2),
		"the same field":      good + strings.Repeat("Aa:\n", much/4),
		"relations":           good + "Depends: a" + strings.Repeat(",a", much/2) + "\n",
		"wrong relations":     good + "Depends: a" + strings.Repeat(", ", much/2) + "\n",
		"alternatives":        good + "Conflicts: a" + strings.Repeat("|a", much/2) + "\n",
		"a long relation":     good + "Depends: a (>=" + strings.Repeat(" ", much) + "1)\n",
		"a long version":      strings.Replace(good, "1.0", strings.Repeat("1", much), 1),
		"a line":              good + strings.Repeat(" x", much/2) + "\n",
	} {
		began := time.Now()
		_, _ = deb.ParseControl(text)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

func TestCheckPackageName_and_CheckArchitecture(t *testing.T) {
	for _, name := range []string{"hello", "g++", "libstdc++6", "0ad", "a.b-c+d"} {
		if err := deb.CheckPackageName(name); err != nil {
			t.Error(err)
		}
	}
	for _, arch := range []string{"all", "amd64", "arm64", "kfreebsd-amd64", "musl-linux-armhf", "x32"} {
		if err := deb.CheckArchitecture(arch); err != nil {
			t.Error(err)
		}
	}
	for want, err := range map[string]error{
		"package name: is empty; use two or more of lower-case letters, digits, +, - and ., beginning with a letter or a digit": deb.CheckPackageName(""),
		"architecture: is empty; use one of those that `dpkg-architecture -L` lists, or all":                                    deb.CheckArchitecture(""),
		"architecture: \"any-arm\" stands for several; use one of those that `dpkg-architecture -L` lists, or all":              deb.CheckArchitecture("any-arm"),
		"architecture: \"" + strings.Repeat("a", 33) + "\" has 33 bytes, more than 32; shorten it":                              deb.CheckArchitecture(strings.Repeat("a", 33)),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// stanzas reads a Packages file in the simplest way that there is: paragraphs end at empty lines, whatever else counts as one to somebody.
func stanzas(text string) []map[string]string {
	var all []map[string]string
	fields := map[string]string{}
	end := func() {
		if len(fields) > 0 {
			all = append(all, fields)
		}
		fields = map[string]string{}
	}
	lines := strings.FieldsFunc(strings.ReplaceAll(text, "\n", "\n\x00"), func(c rune) bool { return strings.ContainsRune("\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029", c) })
	for _, line := range lines {
		line = strings.TrimPrefix(line, "\x00")
		name, value, ok := strings.Cut(line, ":")
		switch {
		case strings.TrimSpace(line) == "":
			end()
		case line[0] == ' ' || line[0] == '\t':
		case ok:
			fields[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	end()
	return all
}

// However a paragraph is written, in a Packages file it is one of its own, and says nothing in the repository's place.
func FuzzParseControl(f *testing.F) {
	f.Add(good)
	f.Add(debtest.Spec{Depends: "a (>= 1) | b:any, c", More: "Multi-Arch: same\nX-Own:\n a\n b\n"}.Text())
	for _, more := range []string{"\nPackage: x\n", " \n", "\r\n", "Size: 1\n", "SIZE : 1\n", "\u0085Size: 1\n", " a\vSize: 1\n", "#Size: 1\n", "Depends: a,\n", "X:\n"} {
		f.Add(good + more)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := deb.ParseControl(text)
		if err != nil {
			var faults deb.Errors
			if !errors.As(err, &faults) || len(faults) == 0 || len(faults) > 21 {
				t.Fatalf("%v", err)
			}
			return
		}
		if !strings.HasPrefix(text, strings.TrimSuffix(c.Text, "\n")) || strings.Trim(text[len(c.Text)-1:], "\n") != "" {
			t.Fatalf("the text is not kept: %q", c.Text)
		}
		list := stanzas("Package: first\nSize: 1\n\n" + c.Text + "Filename: pool/x\nSize: 2\nSHA256: 3\n\nPackage: last\nSize: 4\n")
		if len(list) != 3 || list[1]["package"] != c.Package() || list[1]["filename"] != "pool/x" || list[1]["size"] != "2" || list[1]["sha256"] != "3" || len(list[1]) != len(c.Fields)+3 {
			t.Fatalf("%q makes %q", c.Text, list)
		}
	})
}
