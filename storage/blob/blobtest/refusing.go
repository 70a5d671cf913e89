package blobtest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

var hex64 = strings.Repeat("ab", 32)

// badNames would, if believed, lead out of a folder, into another's, or into what a file system cannot name.
var badNames = []string{
	"", ".", "..", "../x", "a/b", "/etc/passwd", `a\b`, "a.b", ".hidden", "-x", "A", "ä", "a b", "a\x00b", "a\n", "x.", "a..b",
	strings.Repeat("x", 65), "x.sha256-" + strings.ToUpper(hex64), "x.sha256-" + hex64[1:], "x.sha256-" + hex64 + "a", "x.sha512-" + hex64,
	"x.md5-" + hex64, ".sha256-" + hex64, "x.sha256-../" + hex64, "x.sha256-" + hex64 + "/..", "x.sha256-" + hex64 + ".sha256-" + hex64,
}

// badDigests likewise.
var badDigests = []digest.Digest{
	"", ":", "sha256", "sha256:", "sha256:..", "sha256:../../", "sha256:../../../../etc/passwd", "sha256:ab", "sha256/" + digest.Digest(hex64),
	digest.Digest("sha256:" + strings.ToUpper(hex64)), digest.Digest("sha256:" + hex64[1:]), digest.Digest("sha256:" + hex64 + "a"),
	digest.Digest("sha512:" + hex64), digest.Digest("SHA256:" + hex64), digest.Digest("sha384:" + strings.Repeat("a", 96)),
	digest.Digest("md5:" + hex64[:32]), digest.Digest("sha256:" + hex64[2:] + "\x00a"), digest.Digest("sha256:" + hex64[2:] + "/a"),
	digest.Digest("sha256:" + hex64 + "\n"), digest.Digest(hex64), digest.Digest("../sha256:" + hex64), digest.Digest("sha256:" + strings.Repeat("a", 1<<16)),
}

var refusing = []promise{
	{"a name that is none of an upload is refused everywhere", func(t *testing.T, s blob.Store) {
		d := digest.FromString("content")
		for _, name := range badNames {
			_, err := s.Append(background, name, 0, strings.NewReader("content"))
			requireError(t, "append", err, blob.ErrName)
			_, err = s.Resume(background, name, 0)
			requireError(t, "resume", err, blob.ErrName)
			requireError(t, "commit", s.Commit(background, name, d), blob.ErrName)
			requireError(t, "abort", s.Abort(background, name), blob.ErrName)
		}
		requireEmpty(t, s)
	}},
	{"a digest that is none of sha256 or sha512 is refused everywhere", func(t *testing.T, s blob.Store) {
		name := newName()
		appendBytes(t, s, name, 0, []byte("content"))
		for _, d := range badDigests {
			_, opening := s.Open(background, d, 0)
			_, asking := s.Stat(background, d)
			for what, err := range map[string]error{
				"open": opening, "stat": asking, "commit": s.Commit(background, name, d), "delete": s.Delete(background, d),
			} {
				if !refused(err) {
					t.Fatalf("%s %.80q: %v", what, d, err)
				}
			}
		}
		requireUpload(t, s, name, []byte("content"))
		if content := list(t, s); len(content) > 0 {
			t.Fatalf("created: %v", content)
		}
	}},
	{"a negative offset is refused", func(t *testing.T, s blob.Store) {
		d := put(t, s, []byte("content"))
		name := newName()
		appendBytes(t, s, name, 0, []byte("begun"))
		if _, err := s.Append(background, name, -1, strings.NewReader("x")); err == nil {
			t.Fatal("append took it")
		}
		if _, err := s.Resume(background, name, -1); err == nil {
			t.Fatal("resume took it")
		}
		if _, err := s.Open(background, d, -1); err == nil {
			t.Fatal("open took it")
		}
		requireUpload(t, s, name, []byte("begun"))
	}},
	{"nothing is done for who has gone", func(t *testing.T, s blob.Store) {
		d := put(t, s, []byte("content"))
		name, fresh := newName(), newName()
		appendBytes(t, s, name, 0, []byte("begun"))
		gone, cancel := context.WithCancel(background)
		cancel()

		size, err := s.Append(gone, name, 2, strings.NewReader("x"))
		requireError(t, "append", err, context.Canceled)
		if size != 5 {
			t.Fatalf("size %d, want 5", size)
		}
		_, err = s.Append(gone, fresh, 0, strings.NewReader("x"))
		requireError(t, "append", err, context.Canceled)
		_, err = s.Resume(gone, name, 0)
		requireError(t, "resume", err, context.Canceled)
		requireError(t, "commit", s.Commit(gone, name, digest.FromString("begun")), context.Canceled)
		requireError(t, "abort", s.Abort(gone, name), context.Canceled)
		_, err = s.Open(gone, d, 0)
		requireError(t, "open", err, context.Canceled)
		_, err = s.Stat(gone, d)
		requireError(t, "stat", err, context.Canceled)
		requireError(t, "delete", s.Delete(gone, d), context.Canceled)
		for _, err := range s.List(gone) {
			requireError(t, "list", err, context.Canceled)
		}
		for _, err := range s.Uploads(gone) {
			requireError(t, "uploads", err, context.Canceled)
		}

		requireContent(t, s, d, []byte("content"))
		requireUpload(t, s, name, []byte("begun"))
		if pending := uploads(t, s); len(pending) != 1 {
			t.Fatalf("uploads: %v", pending)
		}
	}},
}

// refused tells whether err says that a digest is malformed, and not merely that nothing lies under it.
func refused(err error) bool {
	return errors.Is(err, digest.ErrDigestInvalidFormat) || errors.Is(err, digest.ErrDigestInvalidLength) || errors.Is(err, digest.ErrDigestUnsupported)
}
