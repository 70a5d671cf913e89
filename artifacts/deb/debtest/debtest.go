// Package debtest makes Debian packages for tests: true ones, which dpkg installs, and the parts of false ones.
//
//	file := debtest.Build(debtest.Spec{Package: "hello", Version: "1:2.10-3", Files: map[string]string{"usr/share/hello/text": "hello\n"}})
//
//	debtest.Ar(                                                       // two controls
//		debtest.Member{Name: "debian-binary", Body: []byte("2.0\n")},
//		debtest.Member{Name: "control.tar", Body: debtest.Tar(debtest.Entry{Name: "./control", Body: "…"})},
//		…)
//
// The same Spec makes the same bytes. What cannot be made panics: it is a fault of the test. It is for tests only and knows nothing of package deb.
package debtest

import (
	"crypto/md5"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Spec says what package to make. Everything may be left out.
type Spec struct {
	Package     string            // default hello
	Version     string            // default 1.0
	Arch        string            // default amd64
	Depends     string            // default none
	More        string            // further lines of control, each with its newline
	Control     string            // the whole control file, instead of what is above
	Scripts     map[string]string // further files of control.tar by their name: postinst, conffiles; those of dpkg's five scripts are executable
	Files       map[string]string // what is installed where, without the slash in front
	Compression string            // of both archives: "gz", "xz", "zst" or "" for none
}

// Build makes the package.
func Build(s Spec) []byte {
	ext := ""
	if s.Compression != "" {
		ext = "." + s.Compression
	}
	return Ar(
		Member{Name: "debian-binary", Body: []byte("2.0\n")},
		Member{Name: "control.tar" + ext, Body: Pack(s.Compression, Tar(s.control()...))},
		Member{Name: "data.tar" + ext, Body: Pack(s.Compression, Tar(s.data()...))},
	)
}

// Text is the control file that Build puts into the package.
func (s Spec) Text() string {
	if s.Control != "" {
		return s.Control
	}
	or := func(value, standard string) string {
		if value != "" {
			return value
		}
		return standard
	}
	text := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: A Team <team@example.com>\n",
		or(s.Package, "hello"), or(s.Version, "1.0"), or(s.Arch, "amd64"))
	if s.Depends != "" {
		text += "Depends: " + s.Depends + "\n"
	}
	return text + s.More + "Description: a package for a test\n It was made by a test.\n .\n It does nothing.\n"
}

func (s Spec) control() []Entry {
	entries := []Entry{{Name: "./"}, {Name: "./control", Body: s.Text()}}
	var sums strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.Files)) {
		fmt.Fprintf(&sums, "%x  %s\n", md5.Sum([]byte(s.Files[name])), name)
	}
	if sums.Len() > 0 {
		entries = append(entries, Entry{Name: "./md5sums", Body: sums.String()})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Scripts)) {
		e := Entry{Name: "./" + name, Body: s.Scripts[name]}
		if slices.Contains([]string{"preinst", "postinst", "prerm", "postrm", "config"}, name) {
			e.Mode = 0o755
		}
		entries = append(entries, e)
	}
	return entries
}

// data gives the files with the folders that they stand in.
func (s Spec) data() []Entry {
	entries, made := []Entry{{Name: "./"}}, map[string]bool{".": true}
	for _, name := range slices.Sorted(maps.Keys(s.Files)) {
		if !fs.ValidPath(name) {
			panic(fmt.Sprintf("debtest: no file can be installed as %q", name))
		}
		var folders []string
		for d := path.Dir(name); !made[d]; d = path.Dir(d) {
			made[d] = true
			folders = append(folders, "./"+d+"/")
		}
		for _, d := range slices.Backward(folders) {
			entries = append(entries, Entry{Name: d})
		}
		entries = append(entries, Entry{Name: "./" + name, Body: s.Files[name]})
	}
	return entries
}
