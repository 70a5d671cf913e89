package deb

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"
)

// readControl reads control.tar, which is the archive's present member.
func readControl(a *archive, ext string, pkg *Package) error {
	name := a.name
	if a.left == 0 {
		return &Error{name, "is empty", "it is a tar archive with the file control: build the package with dpkg-deb"}
	}
	if a.left > a.limits.Packed {
		return &Error{name, fmt.Sprintf("has %d bytes, more than %s", a.left, size(a.limits.Packed)), smaller}
	}
	in := &unfolding{where: name, limits: a.limits, packed: a.left}
	in.most = min(a.limits.Unpacked, max(unsuspicious, in.packed*a.limits.Ratio))
	r, err := unpack(a, ext, in.most)
	if err != nil {
		return damaged(name, err)
	}
	defer r.Close()
	in.r = r
	text, err := walk(in, pkg)
	if err == nil {
		_, err = io.Copy(io.Discard, in) // to the checksum behind the tar archive
	}
	if in.err != nil {
		err = in.err
	}
	if err != nil {
		return damaged(name, err)
	}
	pkg.Control, err = ParseControl(text)
	return err
}

const smaller = "a control archive holds the control file, scripts and lists: put everything else into data.tar"

// damaged makes a fault of what a decompressor or tar said.
func damaged(where string, err error) error {
	var fault *Error
	if errors.As(err, &fault) {
		return err
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = errors.New("it ends too early")
	}
	return &Error{where, fmt.Sprintf("cannot be unpacked: %v", err), "the archive is damaged, or its name says another compression: build the package with dpkg-deb"}
}

// unfolding counts what comes out of a decompressor and stops when it is too much.
type unfolding struct {
	r      io.Reader
	where  string
	limits Limits
	packed int64
	most   int64
	n      int64
	err    error // stays
}

func (u *unfolding) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.r.Read(p)
	if u.n += int64(n); u.n <= u.most {
		return n, err
	}
	what := fmt.Sprintf("unpacks to more than %s", size(u.most))
	if u.most < u.limits.Unpacked {
		what = fmt.Sprintf("unpacks to more than %s and %d times its size of %d bytes", size(unsuspicious), u.limits.Ratio, u.packed)
	}
	u.err = &Error{u.where, what, smaller}
	return 0, u.err
}

// walk goes through the tar archive and returns the control file. Whatever tar could unpack under two names or to another place is refused, so that there
// is no other control than this one for anybody.
func walk(in *unfolding, pkg *Package) (string, error) {
	var control string
	seen := map[string]bool{}
	r := tar.NewReader(in)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		name, fault := entry(h)
		if fault != nil {
			return "", fault.at(in.where)
		}
		if name == "" {
			continue
		}
		if seen[name] {
			return "", &Error{in.where, fmt.Sprintf("has two files %s", quote(name)), "keep one of them"}
		}
		if seen[name] = true; len(seen) > in.limits.Entries {
			return "", &Error{in.where, fmt.Sprintf("has more than %d files", in.limits.Entries), smaller}
		}
		if name != "control" {
			pkg.Files = append(pkg.Files, name)
			continue
		}
		if h.Size > in.limits.Control {
			return "", &Error{in.where, fmt.Sprintf("has a control file of %d bytes, more than %s", h.Size, size(in.limits.Control)), "shorten its description"}
		}
		body, err := io.ReadAll(r)
		if err != nil {
			return "", err
		}
		control = string(body)
	}
	if !seen["control"] {
		return "", &Error{in.where, "has no file control", "build the package from a folder with DEBIAN/control"}
	}
	return control, nil
}

// entry returns the name of a file of control.tar without ./, or "" for the folder itself. dpkg knows no other folders here.
func entry(h *tar.Header) (string, *Error) {
	const flat = "only plain files stand in a control archive, none of them in a folder: build the package with dpkg-deb"
	name := h.Name
	for strings.HasPrefix(name, "./") {
		name = strings.TrimLeft(name[2:], "/")
	}
	fault := func(format string, args ...any) (string, *Error) {
		return "", &Error{What: fmt.Sprintf(format, args...), Fix: flat}
	}
	switch {
	case h.Typeflag == tar.TypeDir && (name == "" || name == "."):
		return "", nil
	case h.Typeflag == tar.TypeDir:
		return fault("has a folder %s", quote(h.Name))
	case h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeLink:
		return fault("has a link %s", quote(h.Name))
	case h.Typeflag != tar.TypeReg:
		return fault("has an entry %s of the type %q", quote(h.Name), h.Typeflag)
	case name == "" || name == "." || name == ".." || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' || c == '/' }):
		return fault("has a file %s", quote(h.Name))
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return fault("has a sparse file %s", quote(h.Name))
		}
	}
	return name, nil
}
