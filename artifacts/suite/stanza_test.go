package suite

import (
	"bytes"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/artifacts/deb"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
)

func TestStanza_has_only_our_word_for_what_is_ours(t *testing.T) {
	p := pkg("hello", "1.0", "amd64")
	p.Control = "filename: ../../etc/passwd\n more\nPackage: hello\nSHA256: " + strings.Repeat("0", 64) + "\nVersion: 1.0\nMD5Sum: 0\nSHA1: 1\n 2\n\t3\nSHA512:\nsize: 1\n" +
		"Architecture: amd64\nX-Filename: kept\nDescription: hello\n Size: 7\n .\n\tkept"
	got, err := p.stanza()
	want := "Package: hello\nVersion: 1.0\nArchitecture: amd64\nX-Filename: kept\nDescription: hello\n Size: 7\n .\n\tkept\n" +
		"Filename: pool/cloud/dmp/hello/hello_1.0_amd64.deb\nSize: 1005\nSHA256: " + p.SHA256 + "\n\n"
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	p.Control += "\n\n"
	if got, err := p.stanza(); err != nil || got != want {
		t.Errorf("with newlines at its end: %v\n%s", err, got)
	}
}

func TestBuild_refuses_a_package_that_would_spoil_the_list(t *testing.T) {
	build := func(change func(*Package)) error {
		p := pkg("hello", "1.0", "amd64")
		change(&p)
		_, err := Build(cloud, []Package{p}, noon, []Signer{signer(t, noon)}, nil)
		return err
	}
	if err := build(func(*Package) {}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Package)
		want   string
	}{
		"no control":              {func(p *Package) { p.Control = "" }, "empty"},
		"newlines alone":          {func(p *Package) { p.Control = "\n\n" }, "empty"},
		"a second paragraph":      {func(p *Package) { p.Control += "\n\nPackage: evil\nVersion: 1\nArchitecture: amd64" }, "an empty line"},
		"a line of blanks":        {func(p *Package) { p.Control += "\n \t\nPackage: evil" }, "an empty line"},
		"a carriage return":       {func(p *Package) { p.Control += "\r\n\r\nPackage: evil" }, "no text"},
		"a zero":                  {func(p *Package) { p.Control += "\x00" }, "no text"},
		"broken UTF-8":            {func(p *Package) { p.Control += "\xff" }, "no text"},
		"a field that is none":    {func(p *Package) { p.Control += "\nno field" }, "is no field"},
		"a comment":               {func(p *Package) { p.Control += "\n#a: b" }, "is no field"},
		"a signature":             {func(p *Package) { p.Control += "\n-----BEGIN: x" }, "is no field"},
		"a name with a blank":     {func(p *Package) { p.Control += "\na b: c" }, "is no field"},
		"no name":                 {func(p *Package) { p.Control += "\n: c" }, "is no field"},
		"a beginning in a field":  {func(p *Package) { p.Control = " x\n" + p.Control }, "goes on with"},
		"a name of two lines":     {func(p *Package) { p.Control = strings.Replace(p.Control, "hello\n", "hello\n x\n", 1) }, "goes on with"},
		"another name in control": {func(p *Package) { p.Control = strings.Replace(p.Control, "hello", "other", 1) }, "the package is hello 1.0 amd64"},
		"a name twice":            {func(p *Package) { p.Control += "\npackage: hello" }, "twice"},
		"another version":         {func(p *Package) { p.Version = "2.0" }, "the package is hello 2.0 amd64"},
		"another architecture":    {func(p *Package) { p.Architecture = "arm64" }, "the package is hello 1.0 arm64"},
		"no architecture":         {func(p *Package) { p.Control = strings.Replace(p.Control, "Architecture: amd64\n", "", 1) }, "no field architecture"},
		"a long control":          {func(p *Package) { p.Control += "\nX: " + strings.Repeat("x", 1<<20) }, "longer"},
		"a bad name":              {func(p *Package) { p.Name = "Hello" }, "package name"},
		"a bad version":           {func(p *Package) { p.Version = "v1" }, "version"},
		"a bad architecture":      {func(p *Package) { p.Architecture = "any" }, "architecture"},
		"a bad component":         {func(p *Package) { p.Component = "a/b" }, "component"},
		"no component":            {func(p *Package) { p.Component = "" }, "component"},
		"a file elsewhere":        {func(p *Package) { p.Filename = "../x.deb" }, "clean relative path"},
		"a file that climbs":      {func(p *Package) { p.Filename = "pool/../../x.deb" }, "clean relative path"},
		"a file written twice":    {func(p *Package) { p.Filename = "pool//x.deb" }, "clean relative path"},
		"an absolute file":        {func(p *Package) { p.Filename = "/x.deb" }, "clean relative path"},
		"an escaped file":         {func(p *Package) { p.Filename = "pool/%2e%2e/x.deb" }, "clean relative path"},
		"a file of two lines":     {func(p *Package) { p.Filename = "pool/x.deb\nPackage: evil" }, "clean relative path"},
		"no file":                 {func(p *Package) { p.Filename = "" }, "clean relative path"},
		"a hash in capitals":      {func(p *Package) { p.SHA256 = strings.ToUpper(p.SHA256) }, "SHA-256"},
		"a short hash":            {func(p *Package) { p.SHA256 = "0" }, "SHA-256"},
		"no size":                 {func(p *Package) { p.Size = 0 }, "size 0"},
	} {
		err := build(c.change)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		p := pkg("hello", "1.0", "amd64")
		if c.change(&p); err != nil && (p.Check() == nil || !strings.HasSuffix(err.Error(), p.Check().Error())) {
			t.Errorf("%s: Check says %v, Build says %v", name, p.Check(), err)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
}

// What package deb accepts must never keep a suite from being built.
func TestCheck_takes_what_deb_takes(t *testing.T) {
	long := "1:" + strings.Repeat("1:2+~.-", 17) + "1"
	for name, spec := range map[string]debtest.Spec{
		"the plainest":      {},
		"a long version":    {Version: long},
		"a long name":       {Package: strings.Repeat("x+-.", 32)},
		"a debug package":   {Package: "hello-dbgsym", More: "Auto-Built-Package: debug-symbols\nBuild-Ids: 00ff\n"},
		"fields of ours":    {More: "X-Size: 5\nFilenames: 6\n"},
		"folded fields":     {Depends: "a,\n b (>= 1),\n\tc | d"},
		"blanks everywhere": {Control: "Package:\thello \t\nVersion:1.0\nArchitecture:   all  \nDescription:\n x\n . \n y\n\n"},
		"no maintainer":     {Control: "pACKAGE: hello\nvERSION: 1.0\naRCHITECTURE: amd64\ndESCRIPTION: é\n"},
	} {
		read, err := deb.Read(bytes.NewReader(debtest.Build(spec)), deb.Limits{})
		if err != nil {
			t.Errorf("%s: deb says %v, choose another example", name, err)
			continue
		}
		p := Package{
			Control: read.Control.Text, Name: read.Control.Package(), Version: read.Control.Version().String(), Architecture: read.Control.Architecture(),
			Component: "dmp", Filename: "pool/cloud/dmp/ms-hello/" + read.Control.Filename(), Size: read.Size, SHA256: sum(nil),
		}
		if err := p.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Build(cloud, []Package{p}, noon, []Signer{signer(t, noon)}, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzStanza takes any control paragraph, and makes sure that it stays within its own.
func FuzzStanza(f *testing.F) {
	f.Add(pkg("hello", "1.0", "amd64").Control)
	f.Add("Package: hello\nVersion: 1.0\nArchitecture: amd64\nSize: 1\n 2\nDescription: x\n .\n y")
	f.Add("SHA256:\n x\nPackage:hello\nVersion:\t1.0 \nArchitecture: amd64\n\n")
	f.Fuzz(func(t *testing.T, control string) {
		p := pkg("hello", "1.0", "amd64")
		p.Control = control
		text, err := p.stanza()
		if err != nil {
			return
		}
		if i := strings.Index(text, "\n\n"); i != len(text)-2 {
			t.Errorf("the paragraph ends at %d of %d: %q", i, len(text), text)
		}
		seen := map[string]int{}
		for line := range strings.Lines(strings.TrimSuffix(text, "\n")) {
			if strings.TrimSpace(line) == "" {
				t.Errorf("an empty line in %q", text)
			}
			if name, _, ok := strings.Cut(line, ":"); ok && line[0] != ' ' && line[0] != '\t' {
				seen[strings.ToLower(name)]++
			}
		}
		for _, name := range []string{"package", "version", "architecture", "filename", "size", "sha256"} {
			if seen[name] != 1 {
				t.Errorf("%d fields %s in %q", seen[name], name, text)
			}
		}
		for _, name := range []string{"md5sum", "sha1", "sha512"} {
			if seen[name] != 0 {
				t.Errorf("a field %s in %q", name, text)
			}
		}
		if field(text, "SHA256") != p.SHA256 {
			t.Errorf("another hash: %q", text)
		}
	})
}
