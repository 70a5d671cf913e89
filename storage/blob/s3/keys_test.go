package s3

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

func TestKeys_are_read_as_they_were_written(t *testing.T) {
	d, wide := digest.FromString("content"), digest.SHA512.FromString("content")
	for _, prefix := range []string{"", "a", "a/b.c"} {
		s := &Store{cfg: Config{Prefix: prefix}}
		for _, d := range []digest.Digest{d, wide} {
			if got, ok := s.parseBlobKey(s.blobKey(d)); !ok || got != d {
				t.Errorf("%s was read as %q, %v", s.blobKey(d), got, ok)
			}
		}
		for _, name := range []string{"a", blob.Named("b", d), blob.Named("c", wide)} {
			want := piece{number: 1 << 60, start: 1<<62 + 5, crc: 0xfedcba98}
			key := s.pieceKey(name, want)
			of, got, ok := s.parsePieceKey(key)
			if want.key = key; !ok || of != name || got != want {
				t.Errorf("%s was read as %q, %+v, %v", key, of, got, ok)
			}
			if len(key) > 1024 {
				t.Errorf("%s is longer than S3 allows", key)
			}
		}
	}
}

func TestKeys_of_others_are_not_ours(t *testing.T) {
	s := &Store{cfg: Config{Prefix: "p"}}
	hex := digest.FromString("content").Encoded()
	for _, key := range []string{
		"", "p", "p/", "p/blobs/", "p/blobs/sha256/" + hex, "p/blobs/sha256/00/" + hex, "q/blobs/sha256/" + hex[:2] + "/" + hex,
		"p/blobs/sha256/" + hex[:2] + "/" + strings.ToUpper(hex), "p/blobs/sha256/" + hex[:2] + "/" + hex + "/x", "p/blobs/md5/" + hex[:2] + "/" + hex[:32],
		"p/blobs/sha512/" + hex[:2] + "/" + hex, "p/blobs/sha256/" + hex[:2] + "/" + hex + "\n",
	} {
		if d, ok := s.parseBlobKey(key); ok {
			t.Errorf("%q was read as %s", key, d)
		}
	}
	good := s.pieceKey("a", piece{number: 1, start: 2, crc: 3})
	for _, key := range []string{
		"", "p/uploads/", "p/uploads/a", "p/uploads/a/", strings.Replace(good, "/a/", "/A/", 1), strings.Replace(good, "/a/", "/../", 1), good + "0", good[:len(good)-1],
		strings.ReplaceAll(good, "-", "_"), strings.ReplaceAll(good, "0000000000000001", "+000000000000001"), strings.ReplaceAll(good, "0000000000000001", "8000000000000001"),
		strings.ReplaceAll(good, "00000003", "0000000G"), strings.ReplaceAll(good, "0000000000000002", "000000000000000A"), strings.TrimPrefix(good, "p/"),
	} {
		if name, p, ok := s.parsePieceKey(key); ok {
			t.Errorf("%q was read as %+v of %s", key, p, name)
		}
	}
}

// FuzzPieceKey looks for a key that is read as a piece and written otherwise.
func FuzzPieceKey(f *testing.F) {
	s := &Store{cfg: Config{Prefix: "p"}}
	f.Add(s.pieceKey("a", piece{number: 1, start: 2, crc: 3}))
	f.Add("p/uploads/a/" + strings.Repeat("0", pieceKeyLength))
	f.Fuzz(func(t *testing.T, key string) {
		name, p, ok := s.parsePieceKey(key)
		if ok && (s.pieceKey(name, p) != key || p.start < 0 || p.number < 0 || !blob.ValidUpload(name)) {
			t.Fatalf("%q was read as %+v of %q", key, p, name)
		}
	})
}
