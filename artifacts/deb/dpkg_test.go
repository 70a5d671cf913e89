//go:build clients

package deb_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/artifacts/deb"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
)

// These tests ask the dpkg of the machine, which every Debian has. With -record they write down what it says for the tests that run everywhere.
var record = flag.Bool("record", false, "write down what dpkg says")

// dpkg runs a program of dpkg's and returns what it wrote, and whether it succeeded.
func dpkg(t testing.TB, name string, args ...string) (string, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &failed) {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return string(out), err == nil
}

// order is what dpkg says of two versions.
func order(t testing.TB, a, b string) string {
	t.Helper()
	for _, c := range []struct{ operator, sign string }{{"lt", "<"}, {"eq", "="}, {"gt", ">"}} {
		if _, is := dpkg(t, "dpkg", "--compare-versions", a, c.operator, b); is {
			return c.sign
		}
	}
	t.Fatalf("dpkg says nothing of %s and %s", a, b)
	return ""
}

// written are versions as people write them.
var written = strings.Fields(`0 0-0 0:0 00 1 1.0 1.00 1.0.0 01.0 1.0-0 1.0-1 1.0-1.0 1.0-00 1.0~ 1.0~~ 1.0~~a 1.0~a 1.0~rc1 1.0~rc1-1 1.0-rc1 1.0.0-rc1 1.0.0
	1.0.0-1 1.0.0+b1 1.0+dfsg-1 1.0a 1.0b 1.0aa 1.0A 1.0+ 1.0. 1.0.a 1.0+a 1.0-a 1.0-a-1 1:0 1:1.0 0:1.0 1:1.0-1 2:0.1 10:0 1.9 1.10 1.010 1.09
	1.0-1ubuntu1 1.0-1ubuntu1~22.04 1.0-1+deb12u1 1.0-1+b1 1.0-1.1 1.0-1~bpo12+1 2026.1.15 2026.01.15 20260115 1.18446744073709551616 1.18446744073709551617
	1:1:2 1:1.2 1.0-~ 1.0-~1 1.0-+ 9 10 9.9 1.0z 1.0.1`)

func TestCompare_agrees_with_dpkg(t *testing.T) {
	var lines []string
	if *record {
		lines = newRecord(t)
		if err := os.WriteFile(compared, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, l := range recorded(t, compared) {
		if i%10 == 0 || *record { // the record was made by asking for each
			if said := order(t, l[0], l[2]); said != l[1] {
				t.Errorf("dpkg says %s %s %s, and the record %s", l[0], said, l[2], l[1])
			}
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		a, b := debianVersions(r, "a"), debianVersions(r, "b")
		if got, said := sign(parseVersion(t, a).Compare(parseVersion(t, b))), order(t, a, b); got != said {
			r.Fatalf("%s %s %s, and dpkg says %s", a, got, b, said)
		}
	})
}

// newRecord draws pairs, half of them as people write versions, half at random, until there are enough of each verdict.
func newRecord(t testing.TB) []string {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		const characters = "0019aAz~~+.-"
		b := []byte{"0129"[random.IntN(4)]}
		for range random.IntN(6) {
			b = append(b, characters[random.IntN(len(characters))])
		}
		return []string{"", "", "", "0:", "1:"}[random.IntN(5)] + string(b)
	}
	var lines []string
	wanted := map[string]int{"<": 300, "=": 200, ">": 300}
	for draws := 0; wanted["<"]+wanted["="]+wanted[">"] > 0 && draws < 100_000; draws++ {
		a, b := written[random.IntN(len(written))], written[random.IntN(len(written))]
		if draws%2 == 0 {
			a, b = text(), text()
		}
		if _, err := deb.ParseVersion(a); err != nil {
			continue
		}
		v, err := deb.ParseVersion(b)
		if err != nil {
			continue
		}
		// Equal ones are rare, so ours are asked about more often; it is dpkg's answer that is written down.
		likely := sign(parseVersion(t, a).Compare(v))
		if a == b && draws%10 != 0 || wanted[likely] <= 0 {
			continue
		}
		said := order(t, a, b)
		line := fmt.Sprintf("%s %s %s", a, said, b)
		if slices.Contains(lines, line) {
			continue
		}
		lines, wanted[said] = append(lines, line), wanted[said]-1
	}
	return lines
}

func TestParseVersion_accepts_what_dpkg_accepts(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(r *rapid.T) {
		s := rapid.StringMatching(`([0-9a]{0,3}:)?[0-9a.:~+_-]{0,5}(-[0-9a.~+_:]{0,3})?`).Draw(r, "version")
		_, err := deb.ParseVersion(s)
		out, ok := dpkg(t, "dpkg", "--validate-version", s)
		if (err == nil) != ok {
			r.Fatalf("%q: %v, and dpkg says %t: %s", s, err, ok, out)
		}
		if ok {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("no version was accepted: the draws tell nothing")
	}
}

// save writes a package to a file.
func save(t testing.TB, file []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.deb")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRead_reads_what_dpkg_builds(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := debtest.Spec{Version: "1:2.0-3", Depends: "libc6 (>= 2.36), libx | liby"}
	for name, body := range map[string]string{"DEBIAN/control": spec.Text(), "DEBIAN/conffiles": "/etc/hello\n", "etc/hello": strings.Repeat("hello\n", 10_000)} {
		if err := os.MkdirAll(filepath.Join(folder, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		data string
	}{
		{[]string{"-Znone"}, "data.tar"},
		{[]string{"-Zgzip"}, "data.tar.gz"},
		{[]string{"-Zgzip", "-z9", "-Shuffman"}, "data.tar.gz"},
		{[]string{"-Zxz"}, "data.tar.xz"},
		{[]string{"-Zxz", "-z0"}, "data.tar.xz"},
		{[]string{"-Zxz", "-z9", "-Sextreme"}, "data.tar.xz"},
		{[]string{"-Zzstd"}, "data.tar.zst"},
		{[]string{"-Zzstd", "-z1"}, "data.tar.zst"},
		{[]string{"-Zzstd", "-z22"}, "data.tar.zst"},
		{[]string{"-Zgzip", "--no-uniform-compression"}, "data.tar.gz"},
	} {
		file := filepath.Join(t.TempDir(), "x.deb")
		if out, ok := dpkg(t, "dpkg-deb", slices.Concat([]string{"--root-owner-group"}, c.args, []string{"--build", folder, file})...); !ok {
			t.Fatalf("%v: %s", c.args, out)
		}
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pkg, err := deb.Read(bytes.NewReader(body), deb.Limits{})
		if err != nil {
			t.Errorf("%v: %v", c.args, err)
			continue
		}
		if pkg.Control.Text != spec.Text() || pkg.Data != c.data || pkg.Size != int64(len(body)) || !slices.Equal(pkg.Files, []string{"conffiles"}) {
			t.Errorf("%v: read %+v", c.args, pkg)
		}
	}
}

func TestBuild_makes_what_dpkg_installs(t *testing.T) {
	for _, compression := range []string{"", "gz", "xz", "zst"} {
		file := save(t, debtest.Build(debtest.Spec{
			Version: "1:2.0-3", Arch: "all", Files: map[string]string{"usr/share/hello/text": "hello\n", "etc/hello": "mine\n"},
			Scripts: map[string]string{"conffiles": "/etc/hello\n"}, Compression: compression,
		}))
		root := t.TempDir()
		for _, folder := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log"} {
			if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, empty := range []string{"status", "available"} {
			if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg", empty), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if out, ok := dpkg(t, "dpkg", "--root="+root, "--force-not-root", "--force-bad-path", "--log="+filepath.Join(root, "log"), "--install", file); !ok {
			t.Fatalf("%q: %s", compression, out)
		}
		if body, err := os.ReadFile(filepath.Join(root, "usr/share/hello/text")); err != nil || string(body) != "hello\n" {
			t.Errorf("%q: installed %q, %v", compression, body, err)
		}
		if out, _ := dpkg(t, "dpkg-query", "--admindir="+filepath.Join(root, "var/lib/dpkg"), "-W", "-f=${Package} ${Version} ${Status}", "hello"); out != "hello 1:2.0-3 install ok installed" {
			t.Errorf("%q: dpkg says %q", compression, out)
		}
	}
}

// What is accepted here must be so by dpkg too, and mean the same to it.
func TestParseControl_accepts_nothing_that_dpkg_refuses(t *testing.T) {
	value := rapid.OneOf(
		rapid.StringMatching(`(a|b1|C_d|x-y)(:any|:amd64|:)?( ?\( ?(<<|<=|=|>=|>>|<|>|==|)? ?(1|1\.0-1|a|) ?\))?((, ?| \| |,\n )(a|b)){0,2},?`),
		rapid.StringMatching(`[a-zA-Z0-9 ()<>=,|:\n\t.-]{0,20}`),
		rapid.SampledFrom([]string{"yes", "no", "Yes", "same", "foreign", "allowed", "any", "", "1", "\n x"}),
	)
	name := rapid.OneOf(
		rapid.SampledFrom([]string{"Depends", "Pre-Depends", "Conflicts", "Provides", "Replaces", "Breaks", "Enhances", "Multi-Arch", "Essential", "Installed-Size", "Priority", "X-Own", "depends", "Source", "Version", "Size", "Status"}),
		rapid.StringMatching(`[A-Za-z# :.-]{1,4}`),
	)
	accepted, refused := 0, 0
	rapid.Check(t, func(r *rapid.T) {
		n, v := name.Draw(r, "name"), value.Draw(r, "value")
		spec := debtest.Spec{More: n + ": " + v + "\n"}
		pkg, err := deb.Read(bytes.NewReader(debtest.Build(spec)), deb.Limits{})
		if err != nil {
			refused++
			return
		}
		accepted++
		file := filepath.Join(t.TempDir(), "x.deb")
		if err := os.WriteFile(file, debtest.Build(spec), 0o600); err != nil {
			t.Fatal(err)
		}
		out, ok := dpkg(t, "dpkg-deb", "--show", "--showformat=${Package} ${Version} ${Architecture}", file)
		if !ok || !strings.HasSuffix(out, fmt.Sprintf("%s %s %s", pkg.Control.Package(), pkg.Control.Version(), pkg.Control.Architecture())) {
			r.Fatalf("%q is accepted, and dpkg says %s", spec.More, out)
		}
	})
	if accepted == 0 || refused == 0 {
		t.Errorf("%d were accepted and %d refused: the draws tell nothing", accepted, refused)
	}
}

// Every package that is installed on this machine could have been read here.
func TestParseControl_reads_what_is_installed(t *testing.T) {
	status, err := os.ReadFile("/var/lib/dpkg/status")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for stanza := range strings.SplitSeq(string(status), "\n\n") {
		if !strings.Contains(stanza, "\nStatus: install ok installed\n") {
			continue
		}
		// These two are dpkg's own. Every line of Conffiles begins with a blank.
		text := regexp.MustCompile(`(?m)^(Status: .*|Conffiles:\n( .*\n?)*)\n?`).ReplaceAllString(stanza+"\n", "")
		c, err := deb.ParseControl(text)
		if err != nil {
			t.Errorf("%v in\n%s", err, text)
			continue
		}
		if c.Text != strings.TrimRight(text, "\n")+"\n" || c.Package() == "" || c.Version().String() == "" {
			t.Errorf("read %+v", c)
		}
		read++
	}
	if read < 10 {
		t.Errorf("%d packages were read, which is no Debian", read)
	}
}

// What is said of dpkg in the table of broken packages is true.
func TestRead_refuses_what_dpkg_refuses(t *testing.T) {
	for _, c := range slices.Concat(broken(), oversized()) {
		if c.dpkg == hangs {
			continue // it waits for somebody to write into a pipe called control
		}
		file, does := save(t, c.file), takes
		for _, args := range [][]string{{"--show", file}, {"--contents", file}, {"--control", file, filepath.Join(t.TempDir(), "control")}} {
			if _, ok := dpkg(t, "dpkg-deb", args...); !ok {
				does = refuses
			}
		}
		if does != c.dpkg {
			t.Errorf("%s: dpkg %s, and the table says that it %s", c.name, does, c.dpkg)
		}
	}
}
