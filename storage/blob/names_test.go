package blob_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// FuzzUploadNames looks for a name that is let through and misread, by a path or by Expected.
func FuzzUploadNames(f *testing.F) {
	sum := digest.FromString("content").Encoded()
	for _, name := range []string{"", "a", "a.b", "../a", "a\n", "7d1f-0", "a.sha256-" + sum, "a.sha512-" + sum + sum, "a.sha512-" + sum, "a.sha256-" + sum + "00"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if valid := blob.CheckUpload(name) == nil; valid != blob.ValidUpload(name) {
			t.Fatalf("%q: CheckUpload and ValidUpload do not agree", name)
		}
		if !blob.ValidUpload(name) {
			return
		}
		if len(name) > 255 || strings.ContainsAny(name, "/\\:\x00") || strings.Contains(name, "..") || name[0] == '.' {
			t.Fatalf("%q would be misread by a path", name)
		}
		d := blob.Expected(name)
		if strings.Contains(name, ".") != (d != "") {
			t.Fatalf("%q foretells %q", name, d)
		}
		if d == "" {
			return
		}
		if err := blob.CheckDigest(d); err != nil {
			t.Fatalf("%q foretells %q: %v", name, d, err)
		}
		unique, _, _ := strings.Cut(name, ".")
		if again := blob.Named(unique, d); again != name {
			t.Fatalf("%q became %q", name, again)
		}
	})
}

// FuzzNamed takes the way back: what Named makes of a digest, Expected reads again.
func FuzzNamed(f *testing.F) {
	f.Add("7d1f", "content")
	f.Fuzz(func(t *testing.T, unique, content string) {
		for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			d := alg.FromString(content)
			name := blob.Named(unique, d)
			if strings.Contains(unique, ".") {
				if blob.ValidUpload(name) {
					t.Fatalf("%q is valid", name)
				}
				continue
			}
			if blob.ValidUpload(name) != blob.ValidUpload(unique) || blob.Expected(name) != d {
				t.Fatalf("%q became %q, which foretells %q", unique, name, blob.Expected(name))
			}
		}
	})
}

// FuzzCheckDigest compares it with go-digest itself.
func FuzzCheckDigest(f *testing.F) {
	sum := digest.FromString("content")
	for _, d := range []string{"", ":", "sha256:", string(sum), string(sum) + "0", strings.ToUpper(string(sum)), "sha512:" + sum.Encoded(), "sha512:" + sum.Encoded() + sum.Encoded(), "sha384:ab", "sha256:../../"} {
		f.Add(d)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := digest.Digest(s)
		want := d.Validate() == nil && (d.Algorithm() == digest.SHA256 || d.Algorithm() == digest.SHA512)
		if got := blob.CheckDigest(d) == nil; got != want {
			t.Fatalf("%q: %v, go-digest says %v", s, blob.CheckDigest(d), d.Validate())
		}
	})
}
