package registry

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// What begins like a pack or a segment is for the registry's own use: who could push it could have a rebuilt index say what he likes.
var reservedContents = map[string][]byte{
	"a pack":          writePack([]packed{{Kind: "man", Digest: digest.FromString("{}"), Size: 2, body: []byte("{}")}}),
	"a large pack":    append(writePack(nil), make([]byte, 2*smallBlob)...),
	"a segment":       []byte(`{"entrepotJournal":1,"from":1,"to":2,"prev":"` + strings.Repeat("0", 64) + `"}` + "\n"),
	"a large segment": append([]byte(`{"entrepotJournal":1,"from":1,"to":2,"prev":"`), make([]byte, 2*smallBlob)...),
}

func TestReserved_content_is_refused(t *testing.T) {
	for what, content := range reservedContents {
		t.Run(what, func(t *testing.T) {
			r := open(t)
			wantCode(t, push(t.Context(), r, "a", content), BlobUploadInvalid)
			for _, cut := range []int{0, 1, 10, 27, 30, 45} {
				up, err := r.Begin(t.Context(), "a", "")
				if err != nil {
					t.Fatal(err)
				}
				_, first := r.Append(t.Context(), "a", up.ID, -1, -1, bytes.NewReader(content[:cut]))
				if err := r.Finish(t.Context(), "a", up.ID, -1, -1, bytes.NewReader(content[cut:]), digest.FromBytes(content)); err == nil {
					t.Errorf("in two pieces, cut at %d (the first: %v): it is taken", cut, first)
				}
			}
			if held := rows(t, r.index, prefixHold); len(held) > 0 {
				t.Errorf("held: %v", held)
			}
		})
	}
}

// TestReserved_content_is_not_kept_under_the_digest_of_its_beginning: a chunk that was refused must not stay in the upload while the hash is
// that of the bytes before it. Else whoever closes the upload chooses what another digest names.
func TestReserved_content_is_not_kept_under_the_digest_of_its_beginning(t *testing.T) {
	for what, content := range reservedContents {
		for _, cut := range []int{0, 1, 10} {
			r := open(t)
			up, err := r.Begin(t.Context(), "a", "")
			if err != nil {
				t.Fatal(err)
			}
			if cut > 0 {
				if _, err := r.Append(t.Context(), "a", up.ID, -1, -1, bytes.NewReader(content[:cut])); err != nil {
					t.Fatal(err)
				}
			}
			_, err = r.Append(t.Context(), "a", up.ID, -1, -1, bytes.NewReader(content[cut:]))
			wantCode(t, err, BlobUploadInvalid)
			if err := r.Finish(t.Context(), "a", up.ID, -1, -1, nil, digest.FromBytes(content[:cut])); err == nil {
				got, _ := readBlob(t.Context(), r, "a", digest.FromBytes(content[:cut]))
				if !bytes.Equal(got, content[:cut]) {
					t.Errorf("%s, %d bytes and then the rest: the digest of the %d names %d other bytes", what, cut, cut, len(got))
				}
			}
			if _, err := Verify(t.Context(), r.blobs, r.index, func(problem string) { t.Errorf("%s: %s", what, problem) }); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestReserved_content_of_two_characters_is_no_harm(t *testing.T) {
	r := open(t)
	for _, content := range []string{"", "{", "{}", `{"entrepotPack":`, `{"entrepotPack":2,"entries":1}`, ` {"entrepotPack":1,"entries":1}`} {
		if err := push(context.Background(), r, "a", []byte(content)); err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestPack_round_trip(t *testing.T) {
	var entries []packed
	for _, body := range []string{"", "{}", "\n", "a\nb\n", string(octets("x", 5000)), `{"entrepotPack":1,"entries":9}`} {
		entries = append(entries, packed{Kind: []string{"man", "data"}[len(entries)%2], Digest: digest.FromString(body), Size: len(body), body: []byte(body)})
	}
	pack := writePack(entries)
	got, err := readPack(pack)
	if err != nil || len(got) != len(entries) {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for i, e := range got {
		if e.Kind != entries[i].Kind || e.Digest != entries[i].Digest || !bytes.Equal(e.body, entries[i].body) {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	for i := range pack { // one bit of it is another
		rotten := bytes.Clone(pack)
		rotten[i] ^= 1
		if got, err := readPack(rotten); err == nil {
			for j, e := range got {
				if e.Digest.Algorithm().FromBytes(e.body) != e.Digest {
					t.Fatalf("byte %d: entry %d is not what its digest names", i, j)
				}
			}
		}
	}
	for n := range len(pack) {
		if _, err := readPack(pack[:n]); err == nil {
			t.Fatalf("its first %d bytes are taken for a pack", n)
		}
	}
}

func FuzzReadPack(f *testing.F) {
	f.Add(writePack(nil))
	f.Add(writePack([]packed{{Kind: "man", Digest: digest.FromString("{}"), Size: 2, body: []byte("{}")}}))
	f.Add([]byte(`{"entrepotPack":1,"entries":-1}` + "\n"))
	f.Add([]byte(`{"entrepotPack":1,"entries":99999999999999}` + "\n"))
	f.Fuzz(func(t *testing.T, pack []byte) {
		entries, err := readPack(pack)
		if err != nil {
			return
		}
		for _, e := range entries {
			if e.Digest.Algorithm().FromBytes(e.body) != e.Digest || e.Size != len(e.body) {
				t.Errorf("%+v is not what its digest names", e)
			}
		}
	})
}
