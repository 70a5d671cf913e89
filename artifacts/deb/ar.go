package deb

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

// archive reads an ar archive from front to back, one member at a time, of which it is the reader. Its first fault stays, because what stands between it
// and the caller (decompressors, tar) may lose it.
type archive struct {
	r      *bufio.Reader
	limits Limits
	at     int64 // bytes read so far
	err    error

	members int
	name    string // of the present member
	left    int64  // bytes of it that are still to come
	pad     bool   // whether a byte follows that makes its length even
}

// fail keeps the first fault.
func (a *archive) fail(err error) error {
	if a.err == nil {
		a.err = err
	}
	return a.err
}

// cut is what to say when r has no more bytes for where.
func (a *archive) cut(where string, err error) error {
	if err != io.EOF {
		return a.fail(fmt.Errorf("read the package at byte %d: %w", a.at, err))
	}
	return a.fail(&Error{where, fmt.Sprintf("the file ends too early, after %d bytes", a.at), "send the whole file, or build it again"})
}

// magic reads the first line of the archive.
func (a *archive) magic() error {
	head, err := a.r.Peek(len(arMagic))
	if string(head) == arMagic {
		a.skip(len(arMagic))
		return nil
	}
	if err != nil && err != io.EOF {
		return a.cut("archive", err)
	}
	if strings.HasPrefix(string(head), "0.93") {
		return a.fail(&Error{"archive", "is a package in the format that Debian used until 1995", "build it with a dpkg-deb of this century"})
	}
	return a.fail(&Error{"archive", fmt.Sprintf("begins with %s", quote(string(head))), `a Debian package is an ar archive and begins with "!<arch>\n"`})
}

// next goes to the next member, over what is left of this one. io.EOF says that there is none.
func (a *archive) next() error {
	if err := a.finish(); err != nil {
		return err
	}
	where := fmt.Sprintf("member header at byte %d", a.at)
	head, err := a.r.Peek(arHeader)
	switch {
	case err == io.EOF && len(head) == 0:
		return io.EOF
	case err != nil && err != io.EOF:
		return a.cut(where, err)
	case err == io.EOF:
		what := fmt.Sprintf("has %d bytes instead of %d", len(head), arHeader)
		return a.fail(&Error{where, what, "send the whole file, or build it again, with nothing behind it"})
	}
	h := string(head) // name 16, time 12, owner 6, group 6, mode 8, size 10, and two bytes that end it
	a.skip(arHeader)
	if a.members++; a.members > a.limits.Members {
		return a.fail(&Error{"archive", fmt.Sprintf("has more than %d members", a.limits.Members), order})
	}
	return a.begin(where, h)
}

// begin takes a member's header.
func (a *archive) begin(where, h string) error {
	const (
		longer   = "names are of up to 15 letters, digits and signs, with none of ar's ways to write longer ones"
		unsigned = "write it in digits, without a sign: build the archive with dpkg-deb"
	)
	if h[58:] != "`\n" {
		return a.fail(&Error{where, "ends with " + quote(h[58:]), "it ends with \"`\\n\": the archive is damaged, build it again"})
	}
	name := strings.TrimRight(h[:16], " ")
	a.name = strings.TrimSuffix(name, "/")
	if a.name == "" || strings.ContainsFunc(a.name, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
		return a.fail(&Error{where, "names its member " + quote(name), longer})
	}
	for _, number := range []struct{ name, text, valid string }{
		{"time", h[16:28], decimal}, {"owner", h[28:34], decimal}, {"group", h[34:40], decimal}, {"mode", h[40:48], "01234567"},
	} {
		if text := strings.Trim(number.text, " "); strings.Trim(text, number.valid) != "" {
			return a.fail(&Error{where, fmt.Sprintf("has %s as %s", quote(text), number.name), unsigned})
		}
	}
	text := strings.Trim(h[48:58], " ")
	if !digits(text) {
		return a.fail(&Error{where, fmt.Sprintf("has %s as size", quote(text)), unsigned})
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || a.at+n+n%2 > a.limits.Size {
		what := fmt.Sprintf("has %s bytes, which makes the file longer than %s", text, size(a.limits.Size))
		return a.fail(&Error{"member " + a.name, what, "split the package, or ask for a higher limit"})
	}
	a.left, a.pad = n, n%2 == 1
	return nil
}

// Read reads from the present member, until its end.
func (a *archive) Read(p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	if a.left == 0 {
		return 0, io.EOF
	}
	n, err := a.r.Read(p[:min(int64(len(p)), a.left)])
	a.at, a.left = a.at+int64(n), a.left-int64(n)
	if err != nil && a.left > 0 {
		return n, a.cut("member "+a.name, err)
	}
	return n, nil
}

// peek looks at up to n bytes of the present member that are still to be read.
func (a *archive) peek(n int) ([]byte, error) {
	n = int(min(int64(n), a.left))
	head, err := a.r.Peek(n)
	if err != nil {
		a.at += int64(len(head))
		return nil, a.cut("member "+a.name, err)
	}
	return head, nil
}

// finish reads over the rest of the present member. The byte behind a member of odd length is not optional: dpkg refuses a file of odd length.
func (a *archive) finish() error {
	for a.left > 0 {
		n, err := a.r.Discard(int(min(a.left, 1<<20)))
		a.at, a.left = a.at+int64(n), a.left-int64(n)
		if err != nil {
			return a.cut("member "+a.name, err)
		}
	}
	if a.pad {
		if _, err := a.r.ReadByte(); err != nil {
			return a.cut("member "+a.name, err)
		}
		a.at, a.pad = a.at+1, false
	}
	return nil
}

// skip goes over bytes that were peeked at.
func (a *archive) skip(n int) {
	_, _ = a.r.Discard(n)
	a.at += int64(n)
}
