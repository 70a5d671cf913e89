package deb_test

import (
	"archive/tar"
	"fmt"
	"strings"

	"github.com/entrepot/entrepot/artifacts/deb/debtest"
)

type (
	member = debtest.Member
	entry  = debtest.Entry
)

var format = member{Name: "debian-binary", Body: []byte("2.0\n")}

// control makes a control.tar of a good control file and what else is given.
func control(more ...entry) member {
	return member{Name: "control.tar", Body: debtest.Tar(append([]entry{{Name: "./control", Body: debtest.Spec{}.Text()}}, more...)...)}
}

// packed compresses a member.
func packed(compression string, m member) member {
	return member{Name: m.Name + "." + compression, Body: debtest.Pack(compression, m.Body)}
}

func controlOf(entries ...entry) member {
	return member{Name: "control.tar", Body: debtest.Tar(entries...)}
}

var data = member{Name: "data.tar", Body: debtest.Tar(entry{Name: "./"})}

// headed is a member with a header of its own.
func headed(header string, body string) member { return member{Header: header, Body: []byte(body)} }

// spoil changes bytes of a member.
func spoil(m member, change func(b []byte) []byte) member {
	m.Body = change(append([]byte(nil), m.Body...))
	return m
}

// greedy makes an .xz ask for a dictionary of 4 GiB.
func greedy(b []byte) []byte {
	at := 12 + 2
	for b[at] != 0x21 {
		at++
	}
	b[at+2] = 40
	return mend(b)
}

// brokenPackage is one with what is said of it, and with what dpkg does when it is asked for its fields and files.
type brokenPackage struct {
	name string
	file []byte
	want string
	dpkg string
}

// Packages that dpkg takes are refused here for a bound, or because apt or another release of dpkg would read something else in them.
const (
	refuses = "refuses it"
	takes   = "takes it"
	hangs   = "hangs"
)

const (
	ordered = "; a package has debian-binary, control.tar and data.tar, each once and in this order: build it with dpkg-deb"
	digit   = "; write it in digits, without a sign: build the archive with dpkg-deb"
	flat    = "; only plain files stand in a control archive, none of them in a folder: build the package with dpkg-deb"
	tooMuch = "; a control archive holds the control file, scripts and lists: put everything else into data.tar"
	unread  = "; the archive is damaged, or its name says another compression: build the package with dpkg-deb"
	two     = `; it holds "2.0" and a newline: build the package with dpkg-deb`
	whole   = "; send the whole file, or build it again"
	hint    = "; names are of up to 15 letters, digits and signs, with none of ar's ways to write longer ones"
)

// broken are small ones.
func broken() []brokenPackage {
	ar := debtest.Ar
	return []brokenPackage{
		{"nothing", nil, `archive: begins with ""; a Debian package is an ar archive and begins with "!<arch>\n"`, refuses},
		{"a picture", []byte("\x89PNG\r\n\x1a\n and more"), `archive: begins with "\x89PNG\r\n\x1a\n"; a Debian package is an ar archive and begins with "!<arch>\n"`, refuses},
		{"the old format", []byte("0.939000\n70\n"), `archive: is a package in the format that Debian used until 1995; build it with a dpkg-deb of this century`, refuses},
		{"no members", ar(), `archive: is empty` + ordered, refuses},
		{"no control", ar(format), `archive: has no control.tar` + ordered, refuses},
		{"no data", ar(format, control()), `archive: has no data.tar` + ordered, refuses},
		{"no format", ar(control(), data), `first member: is "control.tar"` + ordered, refuses},
		{"a library", ar(member{Name: "/", Body: []byte("symbols!")}, member{Name: "a.o/"}), `member header at byte 8: names its member "/"` + hint, refuses},
		{"a thing before the format", ar(member{Name: "_x"}, format, control(), data), `first member: is "_x"` + ordered, refuses},
		{"data before control", ar(format, data, control()), `data.tar: stands right behind debian-binary` + ordered, refuses},
		{"two formats", ar(format, format, control(), data), `debian-binary: is another debian-binary` + ordered, refuses},
		{"two controls", ar(format, control(), packed("gz", control()), data), `control.tar.gz: is another control.tar` + ordered, refuses},
		{"two datas", ar(format, control(), data, data), `data.tar: is another data.tar` + ordered, takes},
		{"another control at the end", ar(format, control(), data, control()), `control.tar: is another control.tar` + ordered, takes},
		{"another format at the end", ar(format, control(), data, format), `debian-binary: is another debian-binary` + ordered, takes},
		{"a stranger before control", ar(format, member{Name: "sig", Body: []byte("xx")}, control(), data), `member "sig": stands behind debian-binary, where only names that begin with _ may stand` + ordered, refuses},
		{"a stranger before data", ar(format, control(), member{Name: "sig", Body: []byte("xx")}, data), `member "sig": stands behind control.tar, where only names that begin with _ may stand` + ordered, refuses},
		{"too many members", ar(append([]member{format, control(), data}, make30()...)...), `archive: has more than 32 members` + ordered, takes},

		{"a short header", append(ar(format, control(), data), "debian"...), `member header at byte 3776: has 6 bytes instead of 60; send the whole file, or build it again, with nothing behind it`, takes},
		{"a header without its end", ar(headed(strings.Repeat(" ", 60), "")), `member header at byte 8: ends with "  "; it ends with "` + "`" + `\n": the archive is damaged, build it again`, refuses},
		{"a header without a name", ar(headed(debtest.Header("", "0"), "")), `member header at byte 8: names its member ""` + hint, refuses},
		{"a long name of BSD", ar(headed(debtest.Header("#1/20", "20"), strings.Repeat("x", 20))), `member header at byte 8: names its member "#1/20"` + hint, refuses},
		{"a long name of GNU", ar(format, headed(debtest.Header("/0", "2"), "xx")), `member header at byte 72: names its member "/0"` + hint, refuses},
		{"a name with a NUL", ar(headed(debtest.Header("debian\x00binary", "4"), "2.0\n")), `member header at byte 8: names its member "debian\x00binary"` + hint, refuses},
		{"a negative size", ar(headed(debtest.Header("debian-binary", "-4"), "2.0\n")), `member header at byte 8: has "-4" as size` + digit, refuses},
		{"no size", ar(headed(debtest.Header("debian-binary", ""), "2.0\n")), `member header at byte 8: has "" as size` + digit, refuses},
		{"a hexadecimal size", ar(headed(debtest.Header("debian-binary", "0x4"), "2.0\n")), `member header at byte 8: has "0x4" as size` + digit, refuses},
		{"a size with a blank", ar(headed(debtest.Header("debian-binary", "4 4"), "2.0\n")), `member header at byte 8: has "4 4" as size` + digit, refuses},
		{"a huge size", ar(format, control(), headed(debtest.Header("data.tar", "9999999999"), "x")), `member data.tar: the file ends too early, after 2242 bytes` + whole, refuses},
		{"a huge control", ar(format, headed(debtest.Header("control.tar", "9999999999"), "x")), `control.tar: has 9999999999 bytes, more than 16 MiB` + tooMuch, refuses},
		{"garbage as owner", ar(headed(strings.Replace(debtest.Header("debian-binary", "4"), "0     0     ", "0     root  ", 1), "2.0\n"), control(), data), `member header at byte 8: has "root" as group` + digit, takes},
		{"a negative time", ar(headed(strings.Replace(debtest.Header("debian-binary", "4"), "1767225600", "-1        ", 1), "2.0\n"), control(), data), `member header at byte 8: has "-1" as time` + digit, takes},
		{"a mode that is not octal", ar(headed(strings.Replace(debtest.Header("debian-binary", "4"), "100644", "100698", 1), "2.0\n"), control(), data), `member header at byte 8: has "100698" as mode` + digit, takes},

		{"format 3", ar(member{Name: "debian-binary", Body: []byte("3.0\n")}, control(), data), `debian-binary: says that the format is "3.0"; only format 2 is known`, refuses},
		{"a format without an end", ar(member{Name: "debian-binary", Body: []byte("2.0")}, control(), data), `debian-binary: holds "2.0"` + two, refuses},
		{"a format in words", ar(member{Name: "debian-binary", Body: []byte("two\n")}, control(), data), `debian-binary: holds "two\n"` + two, refuses},
		{"a long format", ar(member{Name: "debian-binary", Body: []byte("2.0\n" + strings.Repeat(" ", 1021))}, control(), data), `debian-binary: has 1025 bytes` + two, takes},

		{"an empty control", ar(format, member{Name: "control.tar"}, data), `control.tar: is empty; it is a tar archive with the file control: build the package with dpkg-deb`, refuses},
		{"control in bzip2", ar(format, member{Name: "control.tar.bz2", Body: []byte("BZh9")}, data), `control.tar.bz2: has a compression that dpkg does not know here; use control.tar, or control.tar with .gz, .xz or .zst`, refuses},
		{"control without control", ar(format, controlOf(entry{Name: "./"}, entry{Name: "./md5sums"}), data), `control.tar: has no file control; build the package from a folder with DEBIAN/control`, refuses},
		{"control twice", ar(format, control(entry{Name: "control", Body: "Package: other\n"}), data), `control.tar: has two files "control"; keep one of them`, refuses},
		{"control as a link", ar(format, controlOf(entry{Name: "./control", Type: tar.TypeSymlink, Link: "/etc/passwd"}), data), `control.tar: has a link "./control"` + flat, refuses},
		{"control as a hard link", ar(format, controlOf(entry{Name: "./md5sums", Body: debtest.Spec{}.Text()}, entry{Name: "./control", Type: tar.TypeLink, Link: "./md5sums"}), data), `control.tar: has a link "./control"` + flat, takes},
		{"control as a folder", ar(format, controlOf(entry{Name: "./control/"}), data), `control.tar: has a folder "./control/"` + flat, refuses},
		{"control as a device", ar(format, controlOf(entry{Name: "./control", Type: tar.TypeFifo}), data), `control.tar: has an entry "./control" of the type '6'` + flat, hangs},
		{"names for all files", ar(format, pax(tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"path": "./control"}}, tar.Header{Typeflag: tar.TypeReg, Name: "./md5sums"}), data), `control.tar: has an entry "./control" of the type 'g'` + flat, takes},
		{"a link beside control", ar(format, control(entry{Name: "./postinst", Type: tar.TypeSymlink, Link: "../../etc/passwd"}), data), `control.tar: has a link "./postinst"` + flat, takes},
		{"control below the root", ar(format, controlOf(entry{Name: "/control", Body: debtest.Spec{}.Text()}), data), `control.tar: has a file "/control"` + flat, takes},
		{"control by a detour", ar(format, controlOf(entry{Name: "./x/../control", Body: debtest.Spec{}.Text()}), data), `control.tar: has a file "./x/../control"` + flat, refuses},
		{"a file outside", ar(format, control(entry{Name: "../../etc/cron.d/x"}), data), `control.tar: has a file "../../etc/cron.d/x"` + flat, refuses},
		{"a file in a folder", ar(format, control(entry{Name: "./x/y"}), data), `control.tar: has a file "./x/y"` + flat, takes},
		{"a name that nobody can read", ar(format, control(entry{Name: "./post\x1binst"}), data), `control.tar: has a file "./post\x1binst"` + flat, takes},
		{"two scripts", ar(format, control(entry{Name: "./postinst"}, entry{Name: ".//./postinst"}), data), `control.tar: has two files "postinst"; keep one of them`, takes},
		{"too many files", ar(format, control(many(256)...), data), `control.tar: has more than 256 files` + tooMuch, takes},
		{"something else as control", ar(format, member{Name: "control.tar", Body: []byte(strings.Repeat("no tar. ", 100))}, data), `control.tar: cannot be unpacked: archive/tar: invalid tar header` + unread, refuses},
		{"half a control", ar(format, spoil(control(), func(b []byte) []byte { return b[:600] }), data), `control.tar: cannot be unpacked: it ends too early` + unread, refuses},
		{"gzip that is none", ar(format, member{Name: "control.tar.gz", Body: control().Body}, data), `control.tar.gz: cannot be unpacked: gzip: invalid header` + unread, takes},
		{"xz that is none", ar(format, member{Name: "control.tar.xz", Body: control().Body}, data), `control.tar.xz: cannot be unpacked: xz: no xz data` + unread, refuses},
		{"zstd that is none", ar(format, member{Name: "control.tar.zst", Body: control().Body}, data), `control.tar.zst: cannot be unpacked: invalid input: magic number mismatch` + unread, refuses},
		{"half of gzip", ar(format, spoil(packed("gz", control()), half), data), `control.tar.gz: cannot be unpacked: it ends too early` + unread, refuses},
		{"half of xz", ar(format, spoil(packed("xz", control()), half), data), `control.tar.xz: cannot be unpacked: it ends too early` + unread, refuses},
		{"half of zstd", ar(format, spoil(packed("zst", control()), half), data), `control.tar.zst: cannot be unpacked: it ends too early` + unread, refuses},
		{"gzip with a wrong sum", ar(format, spoil(packed("gz", control()), func(b []byte) []byte { b[len(b)-8]++; return b }), data), `control.tar.gz: cannot be unpacked: gzip: invalid checksum` + unread, refuses},
		{"xz with something behind it", ar(format, spoil(packed("xz", control()), func(b []byte) []byte { return append(b, 0, 0, 0, 0) }), data), `control.tar.xz: cannot be unpacked: xz: something follows the stream` + unread, takes},

		{"data in a compression of its own", ar(format, control(), member{Name: "data.tar.br", Body: data.Body}), `data.tar.br: has a compression that dpkg does not know; use data.tar, or data.tar with .gz, .xz, .zst, .bz2 or .lzma`, refuses},
		{"empty data", ar(format, control(), member{Name: "data.tar"}), `data.tar: is empty; even a package without files has a tar archive without entries: build it with dpkg-deb`, refuses},
		{"data with another name", ar(format, control(), member{Name: "data.tar.zst", Body: debtest.Pack("xz", data.Body)}), `data.tar.zst: does not begin as zst does; give the member the name of its compression: build the package with dpkg-deb`, refuses},
		{"short data", ar(format, control(), member{Name: "data.tar.xz", Body: []byte("\xfd7z")}), `data.tar.xz: does not begin as xz does; give the member the name of its compression: build the package with dpkg-deb`, refuses},
	}
}

// oversized are those that are large, or become so.
func oversized() []brokenPackage {
	ar := debtest.Ar
	return []brokenPackage{
		{"a long control", ar(format, controlOf(entry{Name: "./control", Body: debtest.Spec{}.Text() + strings.Repeat(" x\n", 1<<20/3)}), data), `control.tar: has a control file of 1048740 bytes, more than 1 MiB; shorten its description`, takes},
		{"a control of 17 MiB", ar(format, control(entry{Name: "./x", Body: strings.Repeat("x", 17<<20)}), data), `control.tar: has 17828352 bytes, more than 16 MiB` + tooMuch, takes},
		{"zstd with a window of 3.75 TiB and no content", ar(format, member{Name: "control.tar.zst", Body: []byte("\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00")}, data), `control.tar.zst: has no file control; build the package from a folder with DEBIAN/control`, refuses},
		{"zstd that is 16 EiB in one piece", ar(format, member{Name: "control.tar.zst", Body: []byte("\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00")}, data), `control.tar.zst: cannot be unpacked: decompressed size exceeds configured limit` + unread, refuses},
		bombed("gz", 20<<20),
		bombed("xz", 3<<20),
		bombed("zst", 3<<20),
	}
}

func half(b []byte) []byte { return b[:len(b)/2] }

func many(n int) []entry {
	var entries []entry
	for i := range n {
		entries = append(entries, entry{Name: fmt.Sprintf("./x%d", i)})
	}
	return entries
}

func make30() []member {
	var members []member
	for i := range 30 {
		members = append(members, member{Name: fmt.Sprintf("x%d", i)})
	}
	return members
}

// bomb is a lot of nothing before control.
func bomb(compression string, length int) member {
	return packed(compression, controlOf(entry{Name: "./md5sums", Body: strings.Repeat("\x00", length)}, entry{Name: "./control", Body: debtest.Spec{}.Text()}))
}

// bombed is a package with a bomb.
func bombed(compression string, length int) brokenPackage {
	m := bomb(compression, length)
	most := "16 MiB"
	if len(m.Body)*200 < 16<<20 {
		most = fmt.Sprintf("1 MiB and 200 times its size of %d bytes", len(m.Body))
	}
	return brokenPackage{"a bomb of " + compression, debtest.Ar(format, m, data), fmt.Sprintf("control.tar.%s: unpacks to more than %s%s", compression, most, tooMuch), takes}
}
