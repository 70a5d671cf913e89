// Package deb reads Debian packages: what a .deb says of itself, and in which order versions stand.
//
//	sum := sha256.New()
//	pkg, err := deb.Read(io.TeeReader(body, sum), deb.Limits{})
//	if err != nil {
//		return err // names the member, the line or the field, and what would be right
//	}
//	pkg.Control.Package()       // "hello"
//	pkg.Control.Version()       // 1:2.10-3, which compares as in dpkg
//	pkg.Control.Filename()      // "hello_2.10-3_amd64.deb"
//	pkg.Control.Text            // the paragraph, to be put into a Packages file as it is
//
// The promises:
//
//   - A package is read once, from front to back. Nothing of it is executed or written to disk, and data.tar is passed over without being unpacked.
//   - Memory and time are bounded by Limits, whatever the package contains: a bomb is refused while it unfolds.
//   - What Read accepts, dpkg can unpack as far as control goes, and apt can list: a paragraph cannot break out of its place in a Packages file, cannot
//     bring the fields that the repository writes itself, and holds no relation over which `apt-get update` would stumble for everybody.
//   - What is read is what dpkg and apt would read: files that they understand in two ways (two controls, links, absolute names) are refused.
//   - All faults of a control paragraph are told at once.
//
// The formats are those of deb(5), deb-control(5), deb-version(7) and chapter 5 of the Debian Policy Manual. Hashes, signatures, the files in data.tar, and
// whether a package may be where it was pushed are left to others.
package deb

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Package is what a .deb says of itself.
type Package struct {
	Control Control
	Size    int64    // of the whole file, in bytes
	Files   []string // what control.tar holds besides control, in its order: md5sums, conffiles, postinst, …
	Data    string   // the name of the member with the files, which tells its compression: data.tar.xz
}

// Limits bound what is read. A zero field stands for its default.
type Limits struct {
	Size     int64 // of the whole file, in bytes; default 10 GiB
	Members  int   // of the ar archive; default 32
	Packed   int64 // of control.tar as it lies in the file, in bytes; default 16 MiB
	Unpacked int64 // of control.tar, in bytes; default 16 MiB
	Ratio    int64 // of control.tar's unpacked to its packed size, once it is longer than 1 MiB; default 200
	Entries  int   // of control.tar; default 256
	Control  int64 // of the control file, in bytes; default 1 MiB
}

// unsuspicious is how long anything may become, however well it was compressed.
const unsuspicious = 1 << 20

func (l Limits) orDefaults() Limits {
	return Limits{
		Size:     or(l.Size, 10<<30),
		Members:  or(l.Members, 32),
		Packed:   or(l.Packed, 16<<20),
		Unpacked: or(l.Unpacked, 16<<20),
		Ratio:    or(l.Ratio, 200),
		Entries:  or(l.Entries, 256),
		Control:  or(l.Control, 1<<20),
	}
}

func or[T int | int64](given, standard T) T {
	if given > 0 {
		return given
	}
	return standard
}

// Read reads one package from r until its end. A fault of the package is an *Error, those of its control paragraph are Errors; whatever else comes back is
// r's own failure. After an error r has been read to anywhere.
func Read(r io.Reader, limits Limits) (*Package, error) {
	limits = limits.orDefaults()
	a := &archive{r: bufio.NewReaderSize(r, 64<<10), limits: limits}
	pkg, err := read(a)
	if a.err != nil {
		err = a.err // readers of compressed data put words of their own in its place
	}
	if err != nil {
		return nil, err
	}
	pkg.Size = a.at
	return pkg, nil
}

// read walks the members in the order that deb(5) lays down: debian-binary, control.tar, data.tar. Before data.tar only members whose names begin with an
// underscore may be in between, and behind it any other.
func read(a *archive) (*Package, error) {
	if err := a.magic(); err != nil {
		return nil, err
	}
	pkg, seen := &Package{}, ""
	for {
		err := a.next()
		if err == io.EOF {
			return pkg, missing(seen)
		}
		if err != nil {
			return nil, err
		}
		part, ext := kind(a.name)
		switch {
		case part == formatMember && seen == "":
			err = readFormat(a)
		case part == controlMember && seen == formatMember:
			err = readControl(a, ext, pkg)
		case part == dataMember && seen == controlMember:
			err = checkData(a, ext)
			pkg.Data = a.name
		case part == "" && seen == dataMember, part == "" && seen != "" && strings.HasPrefix(a.name, "_"):
			continue
		default:
			err = misplaced(a.name, part, seen)
		}
		if err != nil {
			return nil, err
		}
		seen = part
	}
}

// The members that every package has, without what their names say of compression.
const (
	formatMember  = "debian-binary"
	controlMember = "control.tar"
	dataMember    = "data.tar"
)

// kind tells which of the three a member is, by its name.
func kind(name string) (part, ext string) {
	if name == formatMember {
		return formatMember, ""
	}
	for _, part := range []string{controlMember, dataMember} {
		if ext, ok := strings.CutPrefix(name, part); ok && (ext == "" || ext[0] == '.') {
			return part, ext
		}
	}
	return "", ""
}

const order = "a package has debian-binary, control.tar and data.tar, each once and in this order: build it with dpkg-deb"

func misplaced(name, part, seen string) error {
	switch {
	case seen == "":
		return &Error{"first member", fmt.Sprintf("is %s", quote(name)), order}
	case part == "":
		return &Error{"member " + quote(name), fmt.Sprintf("stands behind %s, where only names that begin with _ may stand", seen), order}
	case part == seen, part == formatMember, part == controlMember:
		return &Error{name, fmt.Sprintf("is another %s", part), order}
	}
	return &Error{name, fmt.Sprintf("stands right behind %s", seen), order}
}

func missing(seen string) error {
	switch seen {
	case "":
		return &Error{"archive", "is empty", order}
	case formatMember:
		return &Error{"archive", "has no control.tar", order}
	case controlMember:
		return &Error{"archive", "has no data.tar", order}
	}
	return nil
}

// readFormat checks the version of the format: 2, of whatever minor number, and lines to come are ignored (deb(5)).
func readFormat(a *archive) error {
	const fix = `it holds "2.0" and a newline: build the package with dpkg-deb`
	if a.left > 1<<10 {
		return &Error{formatMember, fmt.Sprintf("has %d bytes", a.left), fix}
	}
	body, err := io.ReadAll(a)
	if err != nil {
		return err
	}
	line, _, ended := strings.Cut(string(body), "\n")
	major, minor, dotted := strings.Cut(line, ".")
	if !ended || !dotted || !digits(major) || !digits(minor) {
		return &Error{formatMember, "holds " + quote(string(body)), fix}
	}
	if major != "2" {
		return &Error{formatMember, "says that the format is " + quote(line), "only format 2 is known"}
	}
	return nil
}

// begins are the first bytes of what the compressions of data.tar make. Tar itself and .lzma have none to rely on.
var begins = map[string][]string{
	"": nil, ".gz": {"\x1f\x8b"}, ".xz": {"\xfd7zXZ\x00"}, ".zst": {"\x28\xb5\x2f\xfd"}, ".bz2": {"BZh"}, ".lzma": nil,
}

// checkData looks at the name and the first bytes of data.tar, and at nothing else: what is in it is dpkg's business.
func checkData(a *archive, ext string) error {
	want, known := begins[ext]
	if !known {
		return &Error{a.name, "has a compression that dpkg does not know", "use data.tar, or data.tar with .gz, .xz, .zst, .bz2 or .lzma"}
	}
	if a.left == 0 {
		return &Error{a.name, "is empty", "even a package without files has a tar archive without entries: build it with dpkg-deb"}
	}
	for _, magic := range want {
		head, err := a.peek(len(magic))
		if err != nil {
			return err
		}
		if string(head) != magic {
			return &Error{a.name, "does not begin as " + ext[1:] + " does", "give the member the name of its compression: build the package with dpkg-deb"}
		}
	}
	return nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
