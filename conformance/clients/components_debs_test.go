//go:build clients

package clients

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/artifacts/deb/debtest"
)

// badDeb is a file that is called a Debian package and is none that could be served, with what is said of it.
type badDeb struct {
	name string
	file []byte
	want []string
}

// badDebs are such files: broken on the way, built wrong, or built to do harm.
func badDebs() []badDeb {
	format := debtest.Member{Name: "debian-binary", Body: []byte("2.0\n")}
	data := debtest.Member{Name: "data.tar", Body: debtest.Tar(debtest.Entry{Name: "./"})}
	control := func(entries ...debtest.Entry) debtest.Member {
		return debtest.Member{Name: "control.tar", Body: debtest.Tar(append([]debtest.Entry{{Name: "./control", Body: debtest.Spec{}.Text()}}, entries...)...)}
	}
	packed := func(how string, m debtest.Member) debtest.Member {
		return debtest.Member{Name: m.Name + "." + how, Body: debtest.Pack(how, m.Body)}
	}
	whole := debtest.Build(debtest.Spec{Package: "hello", Version: "1.0.0", Compression: "xz"})
	said := func(text string) []byte { return debtest.Build(debtest.Spec{Control: text}) }
	const good = "Package: hello\nVersion: 1.0.0\nArchitecture: amd64\nMaintainer: A Team <team@example.com>\nDescription: says hello\n"
	bomb := strings.Repeat("\x00", 20<<20)
	return []badDeb{
		{"nothing", nil, []string{`archive: begins with ""; a Debian package is an ar archive and begins with "!<arch>\n"`}},
		{"a page of a proxy", []byte("<html>502 Bad Gateway</html>\n"), []string{`archive: begins with "<html>50"`}},
		{"a package of rpm", []byte("\xed\xab\xee\xdb\x03\x00 and more"), []string{`a Debian package is an ar archive`}},
		{"cut in its header", whole[:40], []string{`has 32 bytes instead of 60; send the whole file, or build it again`}},
		{"cut in control", whole[:200], []string{`member control.tar.xz: the file ends too early, after 200 bytes; send the whole file, or build it again`}},
		{"cut in data", whole[:len(whole)-20], []string{`the file ends too early, after `, `; send the whole file, or build it again`}},
		{"twice in one file", append(append([]byte{}, whole...), whole...), []string{`member header at byte `}},
		{"without data", debtest.Ar(format, control()), []string{`archive: has no data.tar; a package has debian-binary, control.tar and data.tar, each once and in this order: build it with dpkg-deb`}},
		{"without control", debtest.Ar(format, data), []string{`data.tar: stands right behind debian-binary`}},
		{"with two controls", debtest.Ar(format, control(), packed("gz", control()), data), []string{`control.tar.gz: is another control.tar`}},
		{"with another control at its end", debtest.Ar(format, control(), data, control()), []string{`control.tar: is another control.tar`}},
		{"of a format to come", debtest.Ar(debtest.Member{Name: "debian-binary", Body: []byte("3.0\n")}, control(), data), []string{`debian-binary: says that the format is "3.0"; only format 2 is known`}},

		{"with a member of 10 GB", debtest.Ar(format, control(), debtest.Member{Header: debtest.Header("data.tar", "9999999999"), Body: []byte("x")}),
			[]string{`member data.tar: the file ends too early, after `}},
		{"with a control of 10 GB", debtest.Ar(format, debtest.Member{Header: debtest.Header("control.tar", "9999999999"), Body: []byte("x")}),
			[]string{`control.tar: has 9999999999 bytes, more than 16 MiB; a control archive holds the control file, scripts and lists: put everything else into data.tar`}},
		{"with a member of less than nothing", debtest.Ar(debtest.Member{Header: debtest.Header("debian-binary", "-4"), Body: []byte("2.0\n")}),
			[]string{`member header at byte 8: has "-4" as size; write it in digits, without a sign: build the archive with dpkg-deb`}},
		{"with a control of 17 MiB", debtest.Ar(format, control(debtest.Entry{Name: "./config", Body: strings.Repeat("x", 17<<20)}), data), []string{`bytes, more than 16 MiB`}},
		{"a bomb of gzip", debtest.Ar(format, packed("gz", control(debtest.Entry{Name: "./md5sums", Body: bomb})), data), []string{`control.tar.gz: unpacks to more than `}},
		{"a bomb of xz", debtest.Ar(format, packed("xz", control(debtest.Entry{Name: "./md5sums", Body: bomb})), data), []string{`control.tar.xz: unpacks to more than `}},
		{"a bomb of zstd", debtest.Ar(format, packed("zst", control(debtest.Entry{Name: "./md5sums", Body: bomb})), data), []string{`control.tar.zst: unpacks to more than `}},

		{"with a file outside", debtest.Ar(format, control(debtest.Entry{Name: "../../etc/cron.d/x"}), data),
			[]string{`control.tar: has a file "../../etc/cron.d/x"; only plain files stand in a control archive, none of them in a folder: build the package with dpkg-deb`}},
		{"with a file of the root", debtest.Ar(format, control(debtest.Entry{Name: "/etc/passwd"}), data), []string{`control.tar: has a file "/etc/passwd"`}},
		{"with a script that is a link", debtest.Ar(format, control(debtest.Entry{Name: "./postinst", Type: tar.TypeSymlink, Link: "../../etc/passwd"}), data),
			[]string{`control.tar: has a link "./postinst"`}},
		{"with a member of a long name", debtest.Ar(debtest.Member{Header: debtest.Header("#1/20", "20"), Body: []byte(strings.Repeat("x", 20))}),
			[]string{`member header at byte 8: names its member "#1/20"`}},

		{"of a package with a path", said(strings.Replace(good, "hello\n", "../../etc/x\n", 1)), []string{`control line 1 (Package): "../../etc/x" has '.' at position 1`}},
		{"of a package in capitals", said(strings.Replace(good, "hello\n", "Hello\n", 1)), []string{`control line 1 (Package): "Hello" has 'H' at position 1; use two or more of lower-case letters`}},
		{"of a version with a v", said(strings.Replace(good, "1.0.0", "v1.0.0", 1)), []string{`control line 2 (Version): "v1.0.0" does not begin with a digit; put 0~ before it, or leave a leading v out`}},
		{"of a version with a blank", said(strings.Replace(good, "1.0.0", "1.0 0", 1)), []string{`control line 2 (Version): "1.0 0" has ' ' in it`}},
		{"for any architecture", said(strings.Replace(good, "amd64", "any", 1)), []string{`control line 3 (Architecture): "any" stands for several; use one of those that `}},
		{"with a field of the lists", said(good + "Filename: pool/../../etc/passwd\n"), []string{`control line 6 (Filename): does not belong here: the repository writes it into its lists; remove it`}},
		{"with a sum of its own", said(good + "SHA256: " + strings.Repeat("0", 64) + "\n"), []string{`control line 6 (SHA256): does not belong here`}},
		{"with two paragraphs", said(good + "\nPackage: other\n"), []string{`control line 6: is empty and ends the paragraph, though more follows`, `control line 7 (Package): is there already, in line 1; keep one of them`}},
		{"with a field twice", said(good + "Version: 2\n"), []string{`control line 6 (Version): is there already, in line 2; keep one of them`}},
		{"without a version", said(strings.Replace(good, "Version: 1.0.0\n", "", 1)), []string{`control: has no field Version; add it, as "Version: 1.0-1"`}},
		{"without anything", said("X-Own: 1\n"), []string{`control: has no field Package; `, `control: has no field Version; `, `control: has no field Architecture; `, `control: has no field Description; `}},
		{"with dependencies in words", said(good + "Depends: libc6 at least 2.36\n"), []string{`control line 6 (Depends): `, `write a package, with its version in parentheses if need be, as hello (>= 2.10)`}},
		{"with an escape for terminals", said(good + " a\x1b[2Jb\n"), []string{`control line 6: has the character U+001B; remove it`}},
	}
}

// Packages that apt could not be served, or that would do it harm, are refused however they come, with what is wrong with them.
func TestComponentsRefuseBadDebs(t *testing.T) {
	m := opened(newSession(t), registry(t))
	const name = "hello_1.0.0_amd64.deb"
	for i, c := range badDebs() {
		m.write(name, string(c.file))
		number := fmt.Sprintf("9.9.%d", i)
		in(t, "oras push of a package "+c.name, m.orasFails("push", m.ref(utils, "deb-"+number), name), append(c.want, name+" is no Debian package")...)
		status, body := m.curl("/apt/upload/"+utils+"/?version="+number, "--upload-file", name)
		if status != "422" {
			t.Errorf("curl -T of a package %s: %s, want 422", c.name, status)
		}
		in(t, "curl -T of a package "+c.name, body, append(c.want, "422 the package is not taken: "+name+" is no Debian package that can be served: ")...)
		if strings.ContainsRune(body, '\x1b') {
			t.Errorf("curl -T of a package %s: the answer has what terminals follow: %q", c.name, body)
		}
	}
	m.knowsNothing()
}

// knowsNothing fails the test if anything of refused packages is there.
func (m *maker) knowsNothing() {
	m.t.Helper()
	equal(m.t, field(m.t, m.gets("/api/v1/versions"), "items"), "[]")
	equal(m.t, field(m.t, m.gets("/api/v1/components"), "items"), "[]")
	status, _ := m.curl("/apt/pool/" + utils + "/hello_1.0.0_amd64.deb")
	equal(m.t, status, "404")
}

// Names that lead elsewhere, and packages that do not say which version they are.
func TestComponentsRefuseBadUploads(t *testing.T) {
	m := opened(newSession(t), registry(t))
	build := func(version string) string {
		name := "hello_" + version[strings.IndexByte(version, ':')+1:] + "_amd64.deb"
		m.write(name, string(debtest.Build(debtest.Spec{Package: "hello", Version: version})))
		return name
	}
	file := build("1.0.0")
	for path, want := range map[string]string{
		"/apt/upload/cloud/dmp/common-utils/..%2f..%2fevil.deb":                   "400",
		"/apt/upload/cloud/dmp/../../../../etc/cron.d/evil.deb":                   "400",
		"/apt/upload/cloud/dmp/common-utils/%2e%2e.deb":                           "422",
		"/apt/upload/cloud/dmp/common-utils/.hidden.deb":                          "422",
		"/apt/upload/cloud/dmp/common-utils/x%00.deb":                             "422",
		"/apt/upload/cloud/dmp/common-utils/x%0d%0aX-Own:1.deb":                   "422",
		"/apt/upload/cloud/dmp/common-utils/" + strings.Repeat("x", 300) + ".deb": "422",
		"/apt/upload/cloud/dmp/common-utils/hello.rpm":                            "400",
		"/apt/upload/cloud/dmp/hello.deb":                                         "400",
		"/apt/upload/Cloud/DMP/Utils/hello.deb":                                   "400",
		"/apt/upload/cloud/dmp/common-utils/hello.deb?version=latest":             "422",
		"/apt/upload/cloud/dmp/common-utils/hello.deb?version=cloud.prod":         "422",
		"/apt/upload/cloud/dmp/common-utils/hello.deb?version=1.0.0&x=y":          "400",
		"/apt/upload/index/components/x/hello.deb":                                "403",
	} {
		status, body := m.curl(path, "--path-as-is", "--upload-file", file)
		if status != want || !strings.HasPrefix(body, status+" ") || strings.Count(strings.TrimSpace(body), "\n") > 0 {
			t.Errorf("curl -T to %s: %s, want %s and one line that says why\n%s", path, status, want, body)
		}
	}
	for version, want := range map[string]string{
		"1:2.10-3": "does not tell which version of " + utils + " it is", "1.0.0~rc1": "does not tell which version", "1.0.0-rc1": "does not tell which version",
	} {
		status, body := m.curl("/apt/upload/"+utils+"/", "--upload-file", build(version))
		equal(t, status, "422")
		contains(t, body, want, "?version=1.2.0")
	}
	// By oras a file may be called anything: what it is called in a suite follows from what it says of itself.
	m.knowsNothing()
	m.write("evil.deb", m.read(file))
	m.types("cd " + m.dir + " && " + client(t, "oras") + " push --plain-http --disable-path-validation " + m.ref(utils, "deb-1.0.0") + " " + filepath.Join(m.dir, "evil.deb"))
	status, _ := m.curl("/apt/pool/" + utils + "/" + file)
	equal(t, status, "200")
	for _, path := range []string{"evil.deb", "%2e%2e%2fevil.deb"} {
		status, _ := m.curl("/apt/pool/"+utils+"/"+path, "--path-as-is")
		equal(t, status, "404")
	}
	listed := m.gets("/tree/components/" + utils + "/versions/1.0.0/deb/?format=json")
	lacking(t, listed, m.dir, "..")

	// The right one is taken by curl too, twice; other bytes under the same name are not, whatever the version is called.
	for _, want := range []string{"201", "200"} {
		status, body := m.curl("/apt/upload/"+utils+"/?version=v2.0.0", "--upload-file", build("2.0.0"))
		equal(t, status, want)
		contains(t, body, `"tag":"deb-2.0.0"`, "promote "+utils+" 2.0.0 to a place")
	}
	m.write("hello_2.0.0_amd64.deb", string(debtest.Build(debtest.Spec{Package: "hello", Version: "2.0.0", More: "X-Other: 1\n"})))
	for _, number := range []string{"2.0.0", "2.0.1"} {
		status, body := m.curl("/apt/upload/"+utils+"/?version="+number, "--upload-file", "hello_2.0.0_amd64.deb")
		equal(t, status, "403")
		contains(t, body, "2.0.0")
		contains(t, m.orasFails("push", m.ref(utils, "deb-"+number), "hello_2.0.0_amd64.deb"), "denied", "2.0.0")
	}
	if _, err := os.Stat("/etc/cron.d/evil.deb"); err == nil {
		t.Error("an upload was written to /etc/cron.d")
	}
}
