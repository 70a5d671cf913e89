package suite

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ulikunitz/xz"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files")

var noon = time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)

// cloud is a suite as a registry would have it.
var cloud = Suite{
	Name: "cloud-prod", Origin: "Entrepôt", Label: "registry.example.com", Description: "what runs in production", ValidFor: 7 * 24 * time.Hour,
	Components: []string{"dmp"}, Architectures: []string{"amd64"},
}

// pkg makes a package of a suite.
func pkg(name, version, architecture string) Package {
	_, file, ok := strings.Cut(version, ":")
	if !ok {
		file = version
	}
	return Package{
		Control: fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: A Team <team@example.com>\nDescription: package %[1]s\n It does nothing.\n .\n Nothing at all.",
			name, version, architecture),
		Name: name, Version: version, Architecture: architecture, Component: "dmp",
		Filename: fmt.Sprintf("pool/cloud/dmp/%s/%[1]s_%s_%s.deb", name, file, architecture),
		Size:     int64(1000 + len(name)), SHA256: sum([]byte(name + " " + version + " " + architecture)),
	}
}

// few are packages with what makes versions hard.
func few() []Package {
	return []Package{
		pkg("hello", "1.0-1", "amd64"), pkg("hello", "1.0~rc1-1", "amd64"), pkg("hello", "1:0.9+b2", "amd64"), pkg("hello", "1.10-1", "amd64"), pkg("hello", "1.9-1", "amd64"),
		pkg("hello", "1.10-1", "arm64"), pkg("hello-data", "1.10", "all"), pkg("adduser-x", "3.0", "all"),
	}
}

// signer makes a key for a test.
func signer(t testing.TB, at time.Time) Signer {
	t.Helper()
	return made(t, Ed25519, at).signer()
}

func build1(t testing.TB, s Suite, packages []Package, date time.Time, before *Snapshot, signers ...Signer) *Snapshot {
	t.Helper()
	if len(signers) == 0 {
		signers = []Signer{signer(t, noon)}
	}
	next, err := Build(s, packages, date, signers, before)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func (s *Snapshot) text(t testing.TB, path string) string {
	t.Helper()
	f, ok := s.Find(path)
	if !ok {
		t.Fatalf("there is no %s among %q", path, slices.Sorted(maps.Keys(s.Files)))
	}
	return string(f.Content)
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not as it was; if it should not be, run the test with -update:\n%s", name, got)
	}
}

// compressed finds what Release says of compressed files, which may change with the library that compresses them.
var compressed = regexp.MustCompile(`(?m)^ [0-9a-f]{64} \d+ (\S+\.[gx]z)$`)

func TestBuild_writes_what_it_wrote(t *testing.T) {
	s := build1(t, cloud, few(), noon, nil)
	golden(t, "Packages.amd64", s.text(t, "dmp/binary-amd64/Packages"))
	golden(t, "Packages.arm64", s.text(t, "dmp/binary-arm64/Packages"))
	golden(t, "Release", compressed.ReplaceAllString(s.text(t, Release), " <hash> <size> $1"))
	var paths []string
	for _, a := range []string{"amd64", "arm64"} {
		for _, end := range []string{"", ".gz", ".xz"} {
			paths = append(paths, "dmp/binary-"+a+"/Packages"+end)
		}
	}
	if got, want := slices.Sorted(maps.Keys(s.Files)), slices.Sorted(slices.Values(append(paths, "InRelease", "Release", "Release.gpg"))); !slices.Equal(got, want) {
		t.Errorf("the files are %q, want %q", got, want)
	}
}

// whole checks that a snapshot vouches for all of its lists and that all forms of a list say the same.
func whole(t testing.TB, s *Snapshot) {
	t.Helper()
	release := s.text(t, Release)
	for path, f := range s.Files {
		if got := newFile(f.Content); got.SHA256 != f.SHA256 || got.Size != f.Size {
			t.Errorf("%s has %s and %d bytes, and says %s and %d", path, got.SHA256, got.Size, f.SHA256, f.Size)
		}
		if _, _, list := listOf(strings.TrimSuffix(strings.TrimSuffix(path, gzEnd), xzEnd)); !list {
			continue
		}
		if line := fmt.Sprintf("\n %s %d %s\n", f.SHA256, f.Size, path); !strings.Contains(release, line) {
			t.Errorf("Release does not have the line %q: %s", line, release)
		}
		if base, ok := strings.CutSuffix(path, gzEnd); ok && unpack(t, f.Content, gzEnd) != s.text(t, base) {
			t.Errorf("%s is not %s", path, base)
		}
		if base, ok := strings.CutSuffix(path, xzEnd); ok && unpack(t, f.Content, xzEnd) != s.text(t, base) {
			t.Errorf("%s is not %s", path, base)
		}
	}
	if n := strings.Count(release, "\n "); n != len(s.Files)-3 {
		t.Errorf("Release vouches for %d files, there are %d besides those that vouch: %s", n, len(s.Files)-3, release)
	}
}

func unpack(t testing.TB, content []byte, end string) string {
	t.Helper()
	var r io.Reader
	var err error
	if end == gzEnd {
		r, err = gzip.NewReader(bytes.NewReader(content))
	} else {
		r, err = xz.NewReader(bytes.NewReader(content))
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// differs names the first file in which two snapshots differ, or "".
func differs(a, b *Snapshot) string {
	if !slices.Equal(slices.Sorted(maps.Keys(a.Files)), slices.Sorted(maps.Keys(b.Files))) {
		return "the names of the files"
	}
	for _, path := range slices.Sorted(maps.Keys(a.Files)) {
		if !bytes.Equal(a.Files[path].Content, b.Files[path].Content) || a.Files[path].SHA256 != b.Files[path].SHA256 {
			return path
		}
	}
	return ""
}

func TestBuild_same_input_same_bytes(t *testing.T) {
	key := signer(t, noon)
	rsa := made(t, RSA4096, noon)
	first := build1(t, cloud, few(), noon, nil, key, rsa.signer())
	for range 20 {
		shuffled := few()
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		// The suite's own lists may come in any order, too, and more than once.
		again := cloud
		again.Components, again.Architectures = []string{"dmp", "dmp"}, []string{"arm64", "amd64"}
		if path := differs(build1(t, again, shuffled, noon.Add(time.Second/2), nil, key, rsa.signer()), first); path != "" {
			t.Fatalf("%s has other bytes the second time", path)
		}
	}
}

// some draws packages of which each has a size that makes blocks interesting.
func some(t *rapid.T, label string) []Package {
	var packages []Package
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, 400), 0, 40, rapid.ID[int]).Draw(t, label) {
		p := pkg(fmt.Sprintf("p%03d", n/3), fmt.Sprintf("1.%d", n), []string{"amd64", "arm64", "all"}[n%3])
		p.Component = []string{"dmp", "ops"}[n%2]
		p.Control += "\n ." + strings.Repeat(fmt.Sprintf("\n about %d and %x", n, n*n), n*2)
		packages = append(packages, p)
	}
	return packages
}

func TestBuild_after_another_is_as_if_there_were_none(t *testing.T) {
	key := signer(t, noon)
	s := cloud
	s.Components, s.Architectures = []string{"dmp", "ops"}, []string{"amd64", "arm64"}
	rapid.Check(t, func(t *rapid.T) {
		before, err := Build(s, some(t, "before"), noon, []Signer{key}, nil)
		if err != nil {
			t.Fatal(err)
		}
		packages := some(t, "after")
		next, err := Build(s, packages, noon.Add(time.Hour), []Signer{key}, before)
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := Build(s, packages, noon.Add(time.Hour), []Signer{key}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if path := differs(next, fresh); path != "" {
			t.Fatalf("%s is not what it would be without the snapshot before", path)
		}
	})
}

// The same with lists of many blocks, most of which are taken over.
func TestBuild_long_after_another_is_as_if_there_were_none(t *testing.T) {
	key := signer(t, noon)
	before := build1(t, cloud, long(600), noon, nil, key)
	packages := append(long(700)[100:], pkg("long-00300x", "1.0", "amd64"))
	next := build1(t, cloud, packages, noon.Add(time.Hour), before, key)
	if path := differs(next, build1(t, cloud, packages, noon.Add(time.Hour), nil, key)); path != "" || blocks(t, next) < 3 {
		t.Errorf("%s is not what it would be without the snapshot before", path)
	}
}

func TestBuild_keeps_what_did_not_change(t *testing.T) {
	before := build1(t, cloud, few(), noon, nil)
	// Contents that nobody could make again show what was kept.
	for _, path := range []string{"dmp/binary-amd64/Packages.gz", "dmp/binary-amd64/Packages.xz", "dmp/binary-arm64/Packages.gz", "dmp/binary-arm64/Packages.xz"} {
		before.put(path, []byte("kept "+path))
	}
	next := build1(t, cloud, append(few(), pkg("hello", "2.0", "arm64")), noon.Add(time.Hour), before)
	for path, kept := range map[string]bool{
		"dmp/binary-amd64/Packages.gz": true, "dmp/binary-amd64/Packages.xz": true, "dmp/binary-arm64/Packages.gz": false, "dmp/binary-arm64/Packages.xz": false,
	} {
		if got := next.text(t, path) == "kept "+path; got != kept {
			t.Errorf("%s: kept is %t, want %t", path, got, kept)
		}
	}
	if release := next.text(t, Release); !strings.Contains(release, sum([]byte("kept dmp/binary-amd64/Packages.gz"))) {
		t.Errorf("Release has not the hash of what was kept: %s", release)
	}
}

func TestBuild_needs_no_contents_of_before(t *testing.T) {
	key := signer(t, noon)
	full := build1(t, cloud, few(), noon, nil, key)
	text, err := json.Marshal(full)
	if err != nil || len(text) > 2000 {
		t.Fatalf("%v: %s", err, text)
	}
	bare := &Snapshot{}
	if err := json.Unmarshal(text, bare); err != nil {
		t.Fatal(err)
	}
	more := append(few(), pkg("hello", "2.0", "arm64"))
	want := build1(t, cloud, more, noon.Add(time.Hour), full, key)
	got := build1(t, cloud, more, noon.Add(time.Hour), bare, key)
	for path, f := range want.Files {
		if got.Files[path].SHA256 != f.SHA256 || got.Files[path].Size != f.Size {
			t.Errorf("%s is %v", path, got.Files[path])
		}
		if kept, without := strings.Contains(path, "amd64"), got.Files[path].Content == nil; kept != without {
			t.Errorf("%s: without content is %t, want %t", path, without, kept)
		}
	}
}

func TestBuild_makes_anew_what_was_damaged(t *testing.T) {
	key := signer(t, noon)
	want := build1(t, cloud, few(), noon.Add(time.Hour), nil, key)
	for path := range want.Files {
		for name, damage := range map[string]func(File) File{
			"a bit":       func(f File) File { f.Content = bytes.Clone(f.Content); f.Content[len(f.Content)/2] ^= 1; return f },
			"the end":     func(f File) File { f.Content = f.Content[:len(f.Content)-1]; return f },
			"everything":  func(File) File { return File{} },
			"the hash":    func(f File) File { f.SHA256 = "none"; return f },
			"the content": func(f File) File { f.Content = []byte{}; return f },
		} {
			if path == InRelease || path == Release || path == ReleaseGPG {
				continue
			}
			before := build1(t, cloud, few(), noon, nil, key)
			before.Files[path] = damage(before.Files[path])
			if got := differs(build1(t, cloud, few(), noon.Add(time.Hour), before, key), want); got != "" {
				t.Errorf("after %s of %s was lost, %s is wrong", name, path, got)
			}
		}
	}
}

func TestBuild_date_rises_whatever_the_clock_does(t *testing.T) {
	s := build1(t, cloud, few(), noon.Add(900*time.Millisecond), nil)
	for _, step := range []struct {
		clock, want time.Duration
	}{{0, time.Second}, {-time.Hour, 2 * time.Second}, {2 * time.Second, 3 * time.Second}, {4500 * time.Millisecond, 4 * time.Second}, {5 * time.Hour, 5 * time.Hour}} {
		next := build1(t, cloud, few(), noon.Add(step.clock), s)
		if !next.Date.Equal(noon.Add(step.want)) {
			t.Errorf("at %s after noon Date is %s, want %s", step.clock, next.Date.Sub(noon), step.want)
		}
		release := next.text(t, Release)
		if got, want := field(release, "Date"), noon.Add(step.want).Format("Mon, 02 Jan 2006 15:04:05")+" UTC"; got != want {
			t.Errorf("Release says %q, want %q", got, want)
		}
		if got, want := field(release, "Valid-Until"), noon.Add(step.want+cloud.ValidFor).Format("Mon, 02 Jan 2006 15:04:05")+" UTC"; got != want {
			t.Errorf("Release says %q, want %q", got, want)
		}
		s = next
	}
	zone := time.FixedZone("+02", 2*60*60)
	if got := field(build1(t, cloud, nil, noon.In(zone), nil).text(t, Release), "Date"); got != "Sun, 10 May 2026 12:00:00 UTC" {
		t.Errorf("Date is %q, want it in UTC", got)
	}
}

func TestBuild_loses_no_component_and_no_architecture(t *testing.T) {
	other := pkg("tool", "1.0", "riscv64")
	other.Component = "ops"
	first := build1(t, cloud, append(few(), other), noon, nil)
	if got := field(first.text(t, Release), "Architectures"); got != "amd64 arm64 riscv64" {
		t.Errorf("the architectures are %q", got)
	}
	// A rollback to nothing.
	bare := Suite{Name: cloud.Name, Origin: cloud.Origin, Label: cloud.Label}
	last := build1(t, bare, nil, noon.Add(time.Hour), first)
	for name, want := range map[string]string{"Architectures": "amd64 arm64 riscv64", "Components": "dmp ops"} {
		if got := field(last.text(t, Release), name); got != want {
			t.Errorf("when all packages are gone %s is %q, want %q", name, got, want)
		}
	}
	for _, path := range []string{"dmp/binary-amd64/Packages", "ops/binary-riscv64/Packages", "ops/binary-amd64/Packages"} {
		if f, ok := last.Find(path); !ok || f.Size != 0 {
			t.Errorf("%s: %v, %t, want it empty", path, f, ok)
		}
	}
	whole(t, last)
}

func TestBuild_lists_all_with_every_architecture(t *testing.T) {
	s := build1(t, cloud, few(), noon, nil)
	for _, architecture := range []string{"amd64", "arm64"} {
		if text := s.text(t, "dmp/binary-"+architecture+"/Packages"); !strings.Contains(text, "Package: hello-data\n") {
			t.Errorf("hello-data is for all, and not listed for %s: %s", architecture, text)
		}
	}
	if text := s.text(t, "dmp/binary-arm64/Packages"); strings.Contains(text, "Architecture: amd64") {
		t.Errorf("a package for amd64 is listed for arm64: %s", text)
	}
	if _, ok := s.Find("dmp/binary-all/Packages"); ok || strings.Contains(field(s.text(t, Release), "Architectures"), "all") {
		t.Error("all has a list of its own: apt would read its packages twice")
	}
	whole(t, s)
}

func TestBuild_refuses_what_hosts_would(t *testing.T) {
	before := build1(t, cloud, few(), noon, nil)
	for name, c := range map[string]struct {
		change func(*Suite)
		want   string
	}{
		"another name":       {func(s *Suite) { s.Name = "cloud-test" }, "each suite follows itself"},
		"another origin":     {func(s *Suite) { s.Origin = "Somebody" }, `Origin is "Somebody", and was "Entrepôt"`},
		"no label":           {func(s *Suite) { s.Label = "" }, `Label is "", and was "registry.example.com"`},
		"a name in capitals": {func(s *Suite) { s.Name = "Cloud" }, "lower-case"},
		"a name that climbs": {func(s *Suite) { s.Name = "../x" }, "lower-case"},
		"lines in a line":    {func(s *Suite) { s.Description = "a\nSHA256:" }, "one line"},
		"a long line":        {func(s *Suite) { s.Label = strings.Repeat("x", 257) }, "has 257 bytes"},
		"blanks at an end":   {func(s *Suite) { s.Origin += " " }, "remove the blanks"},
		"a turned line":      {func(s *Suite) { s.Description = "a\u202eb" }, "one line"},
		"broken UTF-8":       {func(s *Suite) { s.Description = "a\xff" }, "one line"},
		"a long name":        {func(s *Suite) { s.Name = strings.Repeat("x", 129) }, "shorten"},
		"a component in two": {func(s *Suite) { s.Components = []string{"a b"} }, "component"},
		"all":                {func(s *Suite) { s.Architectures = []string{"all"} }, "all is listed with every other one"},
		"any":                {func(s *Suite) { s.Architectures = []string{"any"} }, "architecture"},
		"hardly valid":       {func(s *Suite) { s.ValidFor = time.Second }, "at least 1h0m0s"},
		"never valid":        {func(s *Suite) { s.ValidFor = -time.Hour }, "at least 1h0m0s"},
	} {
		s := cloud
		c.change(&s)
		if _, err := Build(s, few(), noon, []Signer{signer(t, noon)}, before); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := Build(cloud, few(), noon, nil, nil); err == nil || !strings.Contains(err.Error(), "nobody signs it") {
		t.Errorf("without signers: %v", err)
	}
	if _, err := Build(cloud, few(), noon, []Signer{{}}, nil); err == nil || !strings.Contains(err.Error(), "has no key") {
		t.Errorf("with a signer of no key: %v", err)
	}
	wide := cloud
	for i := range 1000 {
		wide.Components = append(wide.Components, fmt.Sprint("c", i))
	}
	if _, err := Build(wide, nil, noon, []Signer{signer(t, noon)}, nil); err == nil || !strings.Contains(err.Error(), "1001 components") {
		t.Errorf("with many components: %v", err)
	}
	if _, err := Build(Suite{Name: "x"}, nil, noon, []Signer{signer(t, noon)}, nil); err == nil || !strings.Contains(err.Error(), "has no architecture") {
		t.Errorf("without architectures: %v", err)
	}
	fewer := build1(t, cloud, few(), noon, nil)
	fewer.Files[Release] = File{}
	s := cloud
	s.Origin = "Somebody"
	build1(t, s, few(), noon, fewer) // what is not known cannot be held against it
}

func TestFind_finds_by_hash_in_its_folder(t *testing.T) {
	s := build1(t, cloud, few(), noon, nil)
	f := s.Files["dmp/binary-amd64/Packages.xz"]
	if got := s.text(t, "dmp/binary-amd64/by-hash/SHA256/"+f.SHA256); got != string(f.Content) {
		t.Error("by its hash the file has another content")
	}
	for _, path := range []string{
		"dmp/binary-arm64/by-hash/SHA256/" + f.SHA256, "by-hash/SHA256/" + f.SHA256, "dmp/binary-amd64/by-hash/SHA256/" + f.SHA256 + "/x",
		"dmp/binary-amd64/by-hash/SHA256/" + strings.ToUpper(f.SHA256), "dmp/binary-amd64/by-hash/MD5Sum/" + f.SHA256, "dmp/binary-amd64/by-hash/SHA256/", "", "dmp",
	} {
		if f, ok := s.Find(path); ok {
			t.Errorf("%q gives %v", path, f)
		}
	}
}

func TestByHash_takes_nothing_else(t *testing.T) {
	hash := sum(nil)
	if got, folder, ok := ByHash("dmp/binary-amd64/by-hash/SHA256/" + hash); !ok || got != hash || folder != "dmp/binary-amd64" {
		t.Errorf("%q %q %t", got, folder, ok)
	}
	for _, bad := range []string{"", hash, "by-hash/SHA256/" + hash, "a/by-hash/SHA256/", "a/by-hash/SHA256/../" + hash, "a/by-hash/SHA256/" + hash[1:], "a/by-hash/SHA256/" + hash[1:] + "G", "a/by-hash/SHA512/" + hash} {
		if got, folder, ok := ByHash(bad); ok || got != "" || folder != "" {
			t.Errorf("%q gives %q in %q", bad, got, folder)
		}
	}
}

func TestHashes_are_those_of_all_files(t *testing.T) {
	s := build1(t, cloud, nil, noon, nil)
	s.put("again", s.Files[Release].Content)
	if got := s.Hashes(); len(got) != len(s.Files)-1 || !slices.IsSorted(got) {
		t.Errorf("%q of %d files, two of which are the same", got, len(s.Files))
	}
}
