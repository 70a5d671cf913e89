package spec

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// A GET of an existing blob is 200 and gives its bytes, with the exact Content-Length.
func TestPullingBlobs_GivesTheBlob(t *testing.T) {
	repo := wire.Repo(t)
	for _, size := range []int{1, 511, 4096, 65536, 1<<20 + 1} {
		content := wire.Random(size)
		got := reg.Do(t, "GET", wire.BlobPath(repo, reg.PushBlob(t, repo, content)), nil).Want(t, 200)
		if !bytes.Equal(got.Body, content) || got.Length != int64(size) {
			t.Errorf("%d bytes: came back as %d bytes with Content-Length %d", size, len(got.Body), got.Length)
		}
	}
}

// Docker-Content-Digest is present and matches the body.
func TestPullingBlobs_TellsTheDigest(t *testing.T) {
	repo := wire.Repo(t)
	d := reg.PushBlob(t, repo, wire.Random(100))
	got := reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200).Has(t, "Docker-Content-Digest", d.String())
	if digest.FromBytes(got.Body) != d {
		t.Error("the body does not match the digest")
	}
}

// A blob that the repository does not have is 404, also when another one has it.
func TestPullingBlobs_UnknownIsNotFound(t *testing.T) {
	repo, other := wire.Repo(t), wire.Repo(t)
	d := reg.PushBlob(t, repo, wire.Random(100))
	reg.PushBlob(t, other, wire.Random(100))
	reg.Do(t, "GET", wire.BlobPath(repo, absent()), nil).Refused(t, "BLOB_UNKNOWN", 404)
	reg.Do(t, "GET", wire.BlobPath(other, d), nil).Refused(t, "BLOB_UNKNOWN|NAME_UNKNOWN", 404)
}

// What is no digest is refused and never looked up.
func TestPullingBlobs_DigestGrammar(t *testing.T) {
	repo := wire.Repo(t)
	reg.PushBlob(t, repo, wire.Random(10))
	for _, d := range []string{"latest", "sha256", "sha256:", "sha256:zz", "sha256:" + absent().Encoded() + "00", "md5:d41d8cd98f00b204e9800998ecf8427e", "SHA256:" + absent().Encoded()} {
		reg.Do(t, "GET", "/v2/"+repo+"/blobs/"+d, nil).Refused(t, "", 400, 404)
	}
}

// A single Range is 206 with exactly those bytes, a Content-Range that tells where they stand, and the digest of the whole.
func TestPullingBlobs_Range(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(2048)
	d := reg.PushBlob(t, repo, content)
	for _, c := range []struct {
		ask         string
		first, last int
	}{
		{"bytes=500-1499", 500, 1499}, {"bytes=500-", 500, 2047}, {"bytes=-500", 1548, 2047}, {"bytes=2000-5000", 2000, 2047},
		{"bytes=0-0", 0, 0}, {"bytes=2047-", 2047, 2047}, {"bytes=0-2047", 0, 2047}, {"bytes=-9999", 0, 2047},
	} {
		got := reg.Do(t, "GET", wire.BlobPath(repo, d), nil, "Range", c.ask).Want(t, 206)
		got.Has(t, "Content-Range", fmt.Sprintf("bytes %d-%d/2048", c.first, c.last)).Has(t, "Docker-Content-Digest", d.String())
		if !bytes.Equal(got.Body, content[c.first:c.last+1]) || got.Length != int64(c.last-c.first+1) {
			t.Errorf("%s: %d bytes, Content-Length %d, want %d", c.ask, len(got.Body), got.Length, c.last-c.first+1)
		}
	}
}

// A Range that lies outside the blob, or ends before it begins, is 416 and tells the blob's length.
func TestPullingBlobs_RangeNotSatisfiable(t *testing.T) {
	repo := wire.Repo(t)
	d := reg.PushBlob(t, repo, wire.Random(2048))
	reg.Do(t, "GET", wire.BlobPath(repo, d), nil, "Range", "bytes=5000-10000").Want(t, 416).Has(t, "Content-Range", "bytes */2048")
	reg.Do(t, "GET", wire.BlobPath(repo, d), nil, "Range", "bytes=2048-").Want(t, 416)
	reg.Do(t, "GET", wire.BlobPath(repo, d), nil, "Range", "bytes=500-0").Want(t, 416)
}

// Several ranges come as multipart/byteranges, each part with its own Content-Range.
func TestPullingBlobs_SeveralRanges(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(4096)
	d := reg.PushBlob(t, repo, content)
	got := reg.Do(t, "GET", wire.BlobPath(repo, d), nil, "Range", "bytes=0-99,1000-1999,-10").Want(t, 206)
	mediaType, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/byteranges" {
		t.Fatalf("Content-Type %q, want multipart/byteranges", got.Header.Get("Content-Type"))
	}
	if got.Length != int64(len(got.Body)) {
		t.Errorf("Content-Length %d of a body of %d bytes", got.Length, len(got.Body))
	}
	parts := multipart.NewReader(bytes.NewReader(got.Body), params["boundary"])
	for _, want := range [][2]int{{0, 99}, {1000, 1999}, {4086, 4095}} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if cr := part.Header.Get("Content-Range"); cr != fmt.Sprintf("bytes %d-%d/4096", want[0], want[1]) {
			t.Errorf("Content-Range of a part is %q, want %v", cr, want)
		}
		if b, _ := io.ReadAll(part); !bytes.Equal(b, content[want[0]:want[1]+1]) {
			t.Errorf("part %v holds other bytes", want)
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("a fourth part: %v", err)
	}
}

// Ranges that together ask for more than the blob are a way to waste a server: the answer is never larger than the blob.
func TestPullingBlobs_OverlappingRangesAreBounded(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(64 << 10)
	d := reg.PushBlob(t, repo, content)
	ask := "bytes=0-"
	for range 500 {
		ask += ",0-"
	}
	got := reg.Do(t, "GET", wire.BlobPath(repo, d), nil, "Range", ask)
	if len(got.Body) > 2*len(content) {
		t.Errorf("status %d with %d bytes for a blob of %d", got.Status, len(got.Body), len(content))
	}
}

// A unit that is not bytes is ignored (RFC 9110, 14.2): the whole blob comes.
func TestPullingBlobs_RangeOfAnotherUnit(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(100)
	d := reg.PushBlob(t, repo, content)
	got := reg.Do(t, "GET", wire.BlobPath(repo, d), nil, "Range", "lines=1-2").Want(t, 200, 416)
	if got.Status == 200 && !bytes.Equal(got.Body, content) {
		t.Error("200 with other bytes than the blob's")
	}
}

// The registry says that it takes ranges (RFC 9110, 14.3).
func TestPullingBlobs_AcceptRanges(t *testing.T) {
	repo := wire.Repo(t)
	d := reg.PushBlob(t, repo, wire.Random(100))
	reg.Do(t, "HEAD", wire.BlobPath(repo, d), nil).Want(t, 200).Has(t, "Accept-Ranges", "bytes")
}

// If-Range continues a download only if the blob is still the same (RFC 9110, 13.1.5).
func TestPullingBlobs_IfRange(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(1000)
	d := reg.PushBlob(t, repo, content)
	same := reg.Do(t, "GET", wire.BlobPath(repo, d), nil, "Range", "bytes=900-", "If-Range", `"`+d.String()+`"`).Want(t, 206)
	if !bytes.Equal(same.Body, content[900:]) {
		t.Error("206 with other bytes")
	}
	other := reg.Do(t, "GET", wire.BlobPath(repo, d), nil, "Range", "bytes=900-", "If-Range", `"`+absent().String()+`"`).Want(t, 200)
	if !bytes.Equal(other.Body, content) {
		t.Error("200 with other bytes")
	}
}

// The ETag of content is its digest in quotes, and If-None-Match with it is 304 without a body (RFC 9110, 13.1.2).
func TestPullingBlobs_IfNoneMatch(t *testing.T) {
	repo := wire.Repo(t)
	d := reg.PushBlob(t, repo, wire.Random(1000))
	desc, _ := reg.PushImage(t, repo, "here")
	for path, want := range map[string]digest.Digest{
		wire.BlobPath(repo, d): d, wire.ManifestPath(repo, "here"): desc.Digest, wire.ManifestPath(repo, desc.Digest): desc.Digest,
	} {
		tag := `"` + want.String() + `"`
		reg.Do(t, "GET", path, nil).Want(t, 200).Has(t, "ETag", tag)
		for _, cond := range []string{tag, `"other", ` + tag, "W/" + tag, "*"} {
			got := reg.Do(t, "GET", path, nil, "If-None-Match", cond).Want(t, 304).Has(t, "ETag", tag)
			if len(got.Body) != 0 {
				t.Errorf("304 with a body of %d bytes", len(got.Body))
			}
		}
		reg.Do(t, "HEAD", path, nil, "If-None-Match", tag).Want(t, 304)
		reg.Do(t, "GET", path, nil, "If-None-Match", `"other"`).Want(t, 200)
	}
}

// A tag that moved no longer matches the ETag of where it stood.
func TestPullingManifests_IfNoneMatchAfterTheTagMoved(t *testing.T) {
	repo := wire.Repo(t)
	before, _ := reg.PushImage(t, repo, "moving")
	after, _ := reg.PushImage(t, repo, "moving")
	reg.Do(t, "GET", wire.ManifestPath(repo, "moving"), nil, "If-None-Match", `"`+before.Digest.String()+`"`).Want(t, 200).
		Has(t, "Docker-Content-Digest", after.Digest.String())
}

// Where a Last-Modified is given it works as a condition too (RFC 9110, 13.1.3), and not against an If-None-Match that differs.
func TestPullingBlobs_IfModifiedSince(t *testing.T) {
	repo := wire.Repo(t)
	d := reg.PushBlob(t, repo, wire.Random(1000))
	modified := reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200).Header.Get("Last-Modified")
	if modified == "" {
		return // a digest is a better validator than a time; the specification asks for neither
	}
	if at, err := http.ParseTime(modified); err != nil || time.Since(at) > time.Hour || time.Since(at) < -time.Minute {
		t.Errorf("Last-Modified %q of a blob pushed just now (%v)", modified, err)
	}
	reg.Do(t, "GET", wire.BlobPath(repo, d), nil, "If-Modified-Since", modified).Want(t, 304)
	reg.Do(t, "GET", wire.BlobPath(repo, d), nil, "If-Modified-Since", "Mon, 02 Jan 2006 15:04:05 GMT").Want(t, 200)
	reg.Do(t, "GET", wire.BlobPath(repo, d), nil, "If-Modified-Since", modified, "If-None-Match", `"other"`).Want(t, 200)
}

// A browser must not guess a type for bytes that anybody may have pushed.
func TestPullingBlobs_ContentTypeIsNotGuessed(t *testing.T) {
	repo := wire.Repo(t)
	page := append([]byte("<!DOCTYPE html><script>alert(1)</script>"), wire.Random(16)...)
	got := reg.Do(t, "GET", wire.BlobPath(repo, reg.PushBlob(t, repo, page)), nil).Want(t, 200).Has(t, "Content-Type", wire.Octets)
	got.Has(t, "X-Content-Type-Options", "nosniff")
}

// Content is sent as it is, also to a client that could unpack it: a digest is of the bytes that travel.
func TestPullingBlobs_NoContentCoding(t *testing.T) {
	repo := wire.Repo(t)
	content := bytes.Repeat([]byte("compressible "), 10_000)
	_, body := reg.PushImage(t, repo, "here")
	for path, want := range map[string][]byte{wire.BlobPath(repo, reg.PushBlob(t, repo, content)): content, wire.ManifestPath(repo, "here"): body} {
		got := reg.Do(t, "GET", path, nil, "Accept-Encoding", "gzip, deflate, br, zstd").Want(t, 200)
		if got.Header.Get("Content-Encoding") != "" || !bytes.Equal(got.Body, want) || got.Length != int64(len(want)) {
			t.Errorf("%s: Content-Encoding %q, %d bytes with Content-Length %d, want %d", got.Asked, got.Header.Get("Content-Encoding"), len(got.Body), got.Length, len(want))
		}
	}
}
