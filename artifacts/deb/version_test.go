package deb_test

import (
	"bufio"
	"errors"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/artifacts/deb"
)

func parseVersion(t testing.TB, s string) deb.Version {
	t.Helper()
	v, err := deb.ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParseVersion(t *testing.T) {
	for _, c := range []struct {
		text               string
		epoch              int
		upstream, revision string
		without            string
	}{
		{"1.0", 0, "1.0", "", "1.0"},
		{"1.0-1", 0, "1.0", "1", "1.0-1"},
		{"2:1.0-rc1-0ubuntu1~22.04", 2, "1.0-rc1", "0ubuntu1~22.04", "1.0-rc1-0ubuntu1~22.04"},
		{"0:0", 0, "0", "", "0"},
		{"007:1.0~beta+dfsg", 7, "1.0~beta+dfsg", "", "1.0~beta+dfsg"},
		{"2147483647:1:2", 2147483647, "1:2", "", "1:2"},
		{"1.0-0", 0, "1.0", "0", "1.0-0"},
	} {
		v, err := deb.ParseVersion(c.text)
		if err != nil || v.Epoch != c.epoch || v.Upstream != c.upstream || v.Revision != c.revision || v.String() != c.text || v.WithoutEpoch() != c.without {
			t.Errorf("ParseVersion(%q) = %+v (%s), %v; want %+v", c.text, v, v.WithoutEpoch(), err, c)
		}
	}
}

func TestParseVersion_says_what_is_wrong(t *testing.T) {
	const form = "; write [epoch:]upstream[-revision], as 1.0-1"
	const epoch = "; an epoch is a number from 0 to 2147483647"
	const digit = "; put 0~ before it, or leave a leading v out"
	for text, want := range map[string]string{
		"":                       `version: is empty` + form,
		strings.Repeat("1", 129): `version: "` + strings.Repeat("1", 60) + `"… has 129 bytes, more than 128; shorten it`,
		":1.0":                   `version: ":1.0" has the epoch ""` + epoch,
		"a:1.0":                  `version: "a:1.0" has the epoch "a"` + epoch,
		"-1:1.0":                 `version: "-1:1.0" has the epoch "-1"` + epoch,
		"+1:1.0":                 `version: "+1:1.0" has the epoch "+1"` + epoch,
		"2147483648:1.0":         `version: "2147483648:1.0" has the epoch "2147483648"` + epoch,
		"1:":                     `version: "1:" has no upstream version` + form,
		"1:-1":                   `version: "1:-1" has no upstream version` + form,
		"1.0-":                   `version: "1.0-" has nothing behind its last -; write a revision there, or leave the - out`,
		"v1.0":                   `version: "v1.0" does not begin with a digit` + digit,
		"~1":                     `version: "~1" does not begin with a digit` + digit,
		"1_0":                    `version: "1_0" has '_' in it; use letters, digits, ., +, - and ~`,
		"1 0":                    `version: "1 0" has ' ' in it; use letters, digits, ., +, - and ~`,
		"1/0":                    `version: "1/0" has '/' in it; use letters, digits, ., +, - and ~`,
		"1.0é":                   `version: "1.0é" has 'é' in it; use letters, digits, ., +, - and ~`,
		"1:1.0-a:b":              `version: "1:1.0-a:b" has ':' in its revision; use letters, digits, ., + and ~ behind the last -`,
		"1.0-1_2":                `version: "1.0-1_2" has '_' in its revision; use letters, digits, ., + and ~ behind the last -`,
		"1.0\n":                  `version: "1.0\n" has '\n' in it; use letters, digits, ., +, - and ~`,
	} {
		_, err := deb.ParseVersion(text)
		var fault *deb.Error
		if !errors.As(err, &fault) || err.Error() != want {
			t.Errorf("ParseVersion(%q):\n%v\nwant\n%s", text, err, want)
		}
	}
}

// compared is what dpkg --compare-versions said; it is made by the test of the same name that needs dpkg.
const compared = "testdata/compared"

// recorded gives the lines of a record, each of three words.
func recorded(t testing.TB, name string) [][]string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines [][]string
	for s := bufio.NewScanner(f); s.Scan(); {
		words := strings.Fields(s.Text())
		if len(words) != 3 {
			t.Fatalf("%s: %q has not three words", name, s.Text())
		}
		lines = append(lines, words)
	}
	return lines
}

func sign(c int) string { return []string{"<", "=", ">"}[c+1] }

func TestCompare_agrees_with_what_dpkg_said(t *testing.T) {
	lines := recorded(t, compared)
	said := map[string]int{}
	for _, l := range lines {
		a, b := parseVersion(t, l[0]), parseVersion(t, l[2])
		if got := sign(a.Compare(b)); got != l[1] {
			t.Errorf("%s %s %s, and dpkg said %s", a, got, b, l[1])
		}
		if got := -b.Compare(a); sign(got) != l[1] {
			t.Errorf("%s against %s is not the same the other way round", a, b)
		}
		said[l[1]]++
	}
	if len(lines) < 500 || said["<"] < 100 || said["="] < 100 || said[">"] < 100 {
		t.Errorf("the record has %d lines, %v: want 500, and 100 of each", len(lines), said)
	}
}

// debianVersions draws versions that meet each other.
func debianVersions(t *rapid.T, name string) string {
	return rapid.StringMatching(`((0|1|00):)?[019][0aA~+.1]{0,4}(-[0a~+.1]{0,2}){0,2}(-[0a~+.1]{1,2})?`).Filter(func(s string) bool {
		_, err := deb.ParseVersion(s)
		return err == nil
	}).Draw(t, name)
}

func TestCompare_is_an_order(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, _ := deb.ParseVersion(debianVersions(t, "a"))
		b, _ := deb.ParseVersion(debianVersions(t, "b"))
		c, _ := deb.ParseVersion(debianVersions(t, "c"))
		if a.Compare(a) != 0 {
			t.Fatalf("%s is not equal to itself", a)
		}
		if a.Compare(b) != -b.Compare(a) {
			t.Fatalf("%s against %s is %d, and the other way round %d", a, b, a.Compare(b), b.Compare(a))
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Fatalf("%s <= %s <= %s, and the first is higher than the last", a, b, c)
		}
		if a.Compare(b) == 0 && a.Compare(c) != b.Compare(c) {
			t.Fatalf("%s and %s are equal, and %s is not the same to both", a, b, c)
		}
	})
}

func FuzzParseVersion(f *testing.F) {
	f.Add("1:2.10-3", "2.10~rc1")
	f.Add("0:0", "1-1-1")
	f.Add("", "1.0-")
	f.Fuzz(func(t *testing.T, s, u string) {
		a, err := deb.ParseVersion(s)
		if err != nil {
			return
		}
		if a.String() != s || strings.ContainsAny(s, " \n\t/\\_") {
			t.Fatalf("%q is %s", s, a)
		}
		again := a.WithoutEpoch()
		if b, err := deb.ParseVersion("0:" + again); err != nil || b.Epoch != 0 || b.Upstream != a.Upstream || b.Revision != a.Revision {
			t.Fatalf("%q without its epoch is %q, which is %+v, %v", s, again, b, err)
		}
		if b, err := deb.ParseVersion(u); err == nil && a.Compare(b) != -b.Compare(a) {
			t.Fatalf("%s against %s is %d, and the other way round %d", a, b, a.Compare(b), b.Compare(a))
		}
	})
}

func BenchmarkCompare(b *testing.B) {
	x, y := parseVersion(b, "2:1.0.12-rc1-0ubuntu1~22.04"), parseVersion(b, "2:1.0.12-rc1-0ubuntu1~24.04")
	for b.Loop() {
		x.Compare(y)
	}
}
