package registry

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"
)

var (
	aTime   = rapid.Map(rapid.Int64Range(0, 1<<42), func(ms int64) time.Time { return time.UnixMilli(ms).UTC() })
	aDigest = rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), digest.FromBytes)
	// aType is a media type as ParseManifest admits it: no control characters.
	aType = rapid.StringMatching(`([ -~]|é){0,80}`)
)

func TestStored_row_round_trip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := Stored{
			Descriptor: ocispec.Descriptor{
				MediaType: aType.Draw(rt, "type"), Digest: aDigest.Draw(rt, "digest"),
				Size: rapid.Int64Range(0, 1<<62).Draw(rt, "size"), ArtifactType: aType.Draw(rt, "artifact"),
			},
			Pushed: aTime.Draw(rt, "pushed"), By: rapid.String().Draw(rt, "by"),
		}
		got, err := parseStored(s.row())
		if err != nil {
			rt.Fatal(err)
		}
		s.By = strings.NewReplacer("\t", " ", "\n", " ").Replace(s.By)
		if got.Digest != s.Digest || got.MediaType != s.MediaType || got.Size != s.Size || got.ArtifactType != s.ArtifactType || !got.Pushed.Equal(s.Pushed) || got.By != s.By {
			rt.Fatalf("%+v became %+v", s, got)
		}
		more, err := parseStored(append(s.row(), "\ta field of later"...))
		if err != nil || more.Digest != got.Digest || more.By != got.By {
			rt.Fatalf("with one more field: %+v, %v", more, err)
		}
	})
}

func TestStock_row_round_trip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := stock{size: rapid.Int64Range(0, 1<<62).Draw(rt, "size"), committed: aTime.Draw(rt, "committed"), touched: aTime.Draw(rt, "touched")}
		if rapid.Bool().Draw(rt, "is doomed") {
			s.doomed = aTime.Draw(rt, "doomed")
			if rapid.Bool().Draw(rt, "dies") {
				s.dying = aTime.Draw(rt, "dying")
			}
		}
		got, err := parseStock(s.row())
		if err != nil || got != s {
			rt.Fatalf("%+v became %+v, %v", s, got, err)
		}
	})
}

func TestUpload_row_round_trip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		u := upload{
			Upload:    Upload{ID: newUUID(), Size: rapid.Int64Range(0, 1<<50).Draw(rt, "size"), Began: aTime.Draw(rt, "began")},
			algorithm: rapid.SampledFrom([]digest.Algorithm{digest.SHA256, digest.SHA512}).Draw(rt, "algorithm"),
			touched:   aTime.Draw(rt, "touched"),
			state:     rapid.SliceOfN(rapid.Byte(), 0, 120).Draw(rt, "state"),
			inRow:     rapid.Bool().Draw(rt, "in row"),
		}
		if u.inRow {
			u.bytes = rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(rt, "bytes")
			u.Size = int64(len(u.bytes))
		}
		got, err := parseUpload(u.ID, u.row())
		if err != nil {
			rt.Fatal(err)
		}
		if got.ID != u.ID || got.Size != u.Size || !got.Began.Equal(u.Began) || got.algorithm != u.algorithm || !got.touched.Equal(u.touched) ||
			!bytes.Equal(got.state, u.state) || got.inRow != u.inRow || !bytes.Equal(got.bytes, u.bytes) {
			rt.Fatalf("%+v became %+v", u, *got)
		}
	})
}

func TestRows_that_are_damaged_are_refused(t *testing.T) {
	for _, row := range []string{"", "\t", "x", "sha256:00\ttype\tmany\t\t1\tme", "sha256:00\ttype\t5\t\tsoon\tme", "sha256:00\ttype\t5"} {
		if _, err := parseStored([]byte(row)); err == nil {
			t.Errorf("stored row %q is taken", row)
		}
	}
	for _, row := range []string{"", "1", "1\t2", "1\t2\tx", "x\t2\t3"} {
		if _, err := parseStock([]byte(row)); err == nil {
			t.Errorf("stock row %q is taken", row)
		}
	}
}

// FuzzParseUpload reads rows that nobody wrote: none may cause a panic, and what is taken is written again as it was read.
func FuzzParseUpload(f *testing.F) {
	now := time.UnixMilli(1_700_000_000_000)
	for _, u := range []upload{
		{Upload: Upload{Began: now}, algorithm: digest.SHA256, touched: now, inRow: true},
		{Upload: Upload{Size: 5, Began: now}, algorithm: digest.SHA512, touched: now, inRow: true, bytes: []byte("a\tb\nc"), state: []byte{1, 2}},
		{Upload: Upload{Size: 1 << 40, Began: now}, algorithm: digest.SHA256, touched: now},
	} {
		f.Add(u.row())
	}
	f.Add([]byte("sha256\t-1\t0\t0\trow\t\n"))
	f.Add([]byte("sha256\t1\t0\t0\tstore\t!\n"))
	f.Add([]byte("no row"))
	f.Fuzz(func(t *testing.T, row []byte) {
		u, err := parseUpload("id", row)
		if err != nil {
			return
		}
		again, err := parseUpload("id", u.row())
		if err != nil {
			t.Fatalf("%q was taken, what it is written as is not: %v", row, err)
		}
		if again.Size != u.Size || again.algorithm != u.algorithm || !bytes.Equal(again.state, u.state) || again.inRow != u.inRow ||
			!bytes.Equal(again.bytes, u.bytes) || !again.Began.Equal(u.Began) || !again.touched.Equal(u.touched) {
			t.Errorf("%q: %+v became %+v", row, *u, *again)
		}
	})
}
