package spec

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// chunked pushes content in chunks of a size, the last of them with the PUT if so wanted, and returns the closing reply.
func chunked(t *testing.T, loc string, content []byte, size int, d digest.Digest, lastInPut bool) wire.Reply {
	t.Helper()
	for at := 0; at < len(content); at += size {
		chunk := content[at:min(at+size, len(content))]
		if lastInPut && at+size >= len(content) {
			return reg.Close(t, loc, d, chunk, "Content-Range", wire.Span(at, chunk))
		}
		got := reg.Patch(t, loc, at, chunk).Want(t, 202).Has(t, "Range", fmt.Sprintf("0-%d", at+len(chunk)-1))
		loc = reg.Resolve(t, got)
	}
	return reg.Close(t, loc, d, nil)
}

// Chunks by PATCH are 202 with Location and Range (to the last byte received); the PUT that closes is 201 with a pullable Location.
func TestPushingABlobInChunks_PatchThenPut(t *testing.T) {
	repo := wire.Repo(t)
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		content := wire.Random(10_001)
		d := algorithm.FromBytes(content)
		got := chunked(t, reg.Begin(t, repo), content, 4000, d, false).Want(t, 201).Has(t, "Docker-Content-Digest", d.String())
		pullable(t, got, content)
	}
}

// The last chunk may come with the closing PUT.
func TestPushingABlobInChunks_LastChunkInPut(t *testing.T) {
	repo := wire.Repo(t)
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		content := wire.Random(10_001)
		d := algorithm.FromBytes(content)
		pullable(t, chunked(t, reg.Begin(t, repo), content, 4000, d, true).Want(t, 201), content)
	}
}

// A digest of another algorithm SHOULD be announced when the upload begins.
func TestPushingABlobInChunks_AnnouncedAlgorithm(t *testing.T) {
	repo := wire.Repo(t)
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		content := wire.Random(10_001)
		d := algorithm.FromBytes(content)
		loc := reg.Begin(t, repo, "digest-algorithm", algorithm.String())
		pullable(t, chunked(t, loc, content, 4000, d, false).Want(t, 201).Has(t, "Docker-Content-Digest", d.String()), content)
	}
}

// It is only SHOULD: what was announced does not bind the digest that the upload is closed with.
func TestPushingABlobInChunks_AnotherAlgorithmThanAnnounced(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(10_001)
	d := digest.FromBytes(content)
	got := chunked(t, reg.Begin(t, repo, "digest-algorithm", "sha512"), content, 4000, d, false).Want(t, 201, 400)
	if got.Status == 201 {
		pullable(t, got, content)
	}
}

// An algorithm that the registry does not know is refused when it is announced, and not after the client has sent everything.
func TestPushingABlobInChunks_UnsupportedAlgorithm(t *testing.T) {
	repo := wire.Repo(t)
	for _, name := range []string{"md5", "sha1", "blake3", "SHA256", "", "sha256:", "../sha256"} {
		got := reg.Do(t, "POST", wire.With(wire.UploadsPath(repo), "digest-algorithm", name), []byte{})
		if name == "" && got.Status == 202 {
			continue // an empty parameter may count as none
		}
		got.Refused(t, "UNSUPPORTED|DIGEST_INVALID", 400)
	}
}

// One PATCH of the whole, without any Content-Range, is a stream.
func TestPushingABlobInChunks_Stream(t *testing.T) {
	repo := wire.Repo(t)
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		content := wire.Random(700 << 10)
		d := algorithm.FromBytes(content)
		got := reg.Stream(t, "PATCH", reg.Begin(t, repo), io.MultiReader(bytes.NewReader(content)), "Content-Type", wire.Octets).
			Want(t, 202).Has(t, "Range", fmt.Sprintf("0-%d", len(content)-1))
		pullable(t, reg.Close(t, reg.Resolve(t, got), d, nil).Want(t, 201), content)
	}
}

// A stream may come in several PATCHes without Content-Range, each goes on where the last one ended.
func TestPushingABlobInChunks_StreamInPieces(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(9000)
	loc := reg.Begin(t, repo)
	for at := 0; at < 9000; at += 3000 {
		got := reg.Do(t, "PATCH", loc, content[at:at+3000], "Content-Type", wire.Octets).Want(t, 202).Has(t, "Range", fmt.Sprintf("0-%d", at+2999))
		loc = reg.Resolve(t, got)
	}
	pullable(t, reg.Close(t, loc, digest.FromBytes(content), nil).Want(t, 201), content)
}

// Locations given on the way carry their state in the path as the first one does.
func TestPushingABlobInChunks_LocationsHaveNoQuery(t *testing.T) {
	repo := wire.Repo(t)
	loc := reg.Begin(t, repo)
	for _, a := range []wire.Reply{reg.Patch(t, loc, 0, wire.Random(100)).Want(t, 202), reg.Do(t, "GET", loc, nil).Want(t, 204)} {
		if next := reg.Resolve(t, a); strings.Contains(next, "?") || !uuid.MatchString(next) {
			t.Errorf("%s: Location %s, want a UUID in the path and no query", a.Asked, next)
		}
	}
}

// The very first Location stays good for the whole session: it SHOULD be replaced by the newer ones, but need not be.
func TestPushingABlobInChunks_FirstLocationStaysGood(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(300)
	loc := reg.Begin(t, repo)
	for at := 0; at < 300; at += 100 {
		reg.Patch(t, loc, at, content[at:at+100]).Want(t, 202)
	}
	pullable(t, reg.Close(t, loc, digest.FromBytes(content), nil).Want(t, 201), content)
}

// The first chunk begins with 0: anything else is 416, and the upload can still be used.
func TestPushingABlobInChunks_FirstChunkBeginsAtZero(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(3000)
	loc := reg.Begin(t, repo)
	reg.Patch(t, loc, 1000, content[1000:2000]).Want(t, 416)
	pullable(t, chunked(t, loc, content, 1000, digest.FromBytes(content), false).Want(t, 201), content)
}

// A chunk out of order, ahead or back, is 416; GET tells where to go on, and the upload can still be used.
func TestPushingABlobInChunks_OutOfOrderPatch(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(4000)
	loc := reg.Resolve(t, reg.Patch(t, reg.Begin(t, repo), 0, content[:1000]).Want(t, 202))
	for _, at := range []int{0, 500, 999, 1001, 2000, 3000} {
		reg.Patch(t, loc, at, content[at:at+1000]).Refused(t, "", 416)
		status := reg.Do(t, "GET", loc, nil).Want(t, 204).Has(t, "Range", "0-999")
		loc = reg.Resolve(t, status)
	}
	reg.Patch(t, loc, 1000, content[1000:2000]).Want(t, 202)
	reg.Patch(t, loc, 2000, content[2000:]).Want(t, 202)
	pullable(t, reg.Close(t, loc, digest.FromBytes(content), nil).Want(t, 201), content)
}

// So is the last chunk in a PUT, and the upload can still be closed.
func TestPushingABlobInChunks_OutOfOrderPut(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(3000)
	d := digest.FromBytes(content)
	loc := reg.Begin(t, repo)
	reg.Patch(t, loc, 0, content[:1000]).Want(t, 202)
	for _, at := range []int{0, 2000} {
		reg.Close(t, loc, d, content[at:], "Content-Range", wire.Span(at, content[at:])).Refused(t, "", 416)
		reg.Do(t, "GET", loc, nil).Want(t, 204).Has(t, "Range", "0-999")
		reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 404)
	}
	pullable(t, reg.Close(t, loc, d, content[1000:], "Content-Range", wire.Span(1000, content[1000:])).Want(t, 201), content)
}

// A Content-Range that is no range, or does not fit the length of the body, is refused and moves nothing.
func TestPushingABlobInChunks_MalformedRange(t *testing.T) {
	repo := wire.Repo(t)
	chunk := wire.Random(100)
	loc := reg.Begin(t, repo)
	reg.Patch(t, loc, 0, chunk).Want(t, 202)
	for _, r := range []string{"abc", "100-", "-199", "199-100", "100-150", "100-9999", "a-b", "100-99999999999999999999"} {
		reg.Do(t, "PATCH", loc, chunk, "Content-Type", wire.Octets, "Content-Range", r).Refused(t, "", 400, 416)
		reg.Do(t, "GET", loc, nil).Want(t, 204).Has(t, "Range", "0-99")
	}
}

// A body of unknown length that turns out longer or shorter than its Content-Range is refused; what the range did not promise is not kept.
func TestPushingABlobInChunks_BodyDoesNotFitItsRange(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(300)
	loc := reg.Begin(t, repo)
	reg.Patch(t, loc, 0, content[:100]).Want(t, 202)
	for _, size := range []int{50, 150} {
		got := reg.Stream(t, "PATCH", loc, io.MultiReader(bytes.NewReader(content[100:100+size])), "Content-Type", wire.Octets, "Content-Range", "100-199")
		got.Refused(t, "", 400, 416)
	}
	var last int
	status := reg.Do(t, "GET", loc, nil).Want(t, 204)
	if _, err := fmt.Sscanf(status.Header.Get("Range"), "0-%d", &last); err != nil || last > 199 {
		t.Fatalf("Range %q, want 0-199 at most", status.Header.Get("Range"))
	}
	reg.Patch(t, loc, last+1, content[last+1:]).Want(t, 202)
	pullable(t, reg.Close(t, loc, digest.FromBytes(content), nil).Want(t, 201), content)
}

// The whole blob may come with the closing PUT as its only chunk, with a range.
func TestPushingABlobInChunks_OnlyChunkInPut(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(300)
	pullable(t, reg.Close(t, reg.Begin(t, repo), digest.FromBytes(content), content, "Content-Range", "0-299").Want(t, 201), content)
}

// If the registry asks for a least chunk length it says so when the upload begins, and chunks of that length are taken.
func TestPushingABlobInChunks_LeastLength(t *testing.T) {
	repo := wire.Repo(t)
	got := reg.Do(t, "POST", wire.UploadsPath(repo), []byte{}).Want(t, 202)
	size := 1
	if least := got.Header.Get("OCI-Chunk-Min-Length"); least != "" {
		if _, err := fmt.Sscanf(least, "%d", &size); err != nil || size < 0 {
			t.Fatalf("OCI-Chunk-Min-Length %q", least)
		}
	}
	content := wire.Random(max(size, 1) * 3)
	pullable(t, chunked(t, reg.Resolve(t, got), content, max(size, 1), digest.FromBytes(content), false).Want(t, 201), content)
}

// The PUT must name the digest of the whole blob: that of the last chunk is refused.
func TestPushingABlobInChunks_DigestIsOfTheWhole(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(2000)
	loc := reg.Begin(t, repo)
	reg.Patch(t, loc, 0, content[:1000]).Want(t, 202)
	last := digest.FromBytes(content[1000:])
	reg.Close(t, loc, last, content[1000:], "Content-Range", wire.Span(1000, content[1000:])).Refused(t, "DIGEST_INVALID", 400)
	reg.Do(t, "GET", wire.BlobPath(repo, last), nil).Want(t, 404)
}

// A chunk of nothing is no harm.
func TestPushingABlobInChunks_EmptyPatch(t *testing.T) {
	repo := wire.Repo(t)
	loc := reg.Begin(t, repo)
	content := wire.Random(100)
	reg.Do(t, "PATCH", loc, []byte{}, "Content-Type", wire.Octets).Want(t, 202, 400)
	reg.Patch(t, loc, 0, content).Want(t, 202)
	pullable(t, reg.Close(t, loc, digest.FromBytes(content), nil).Want(t, 201), content)
}

// GET of a running upload is 204 with Location and Range, before and between chunks.
func TestPushingABlobInChunks_Status(t *testing.T) {
	repo := wire.Repo(t)
	loc := reg.Begin(t, repo)
	fresh := reg.Do(t, "GET", loc, nil).Want(t, 204)
	reg.Resolve(t, fresh)
	if !strings.HasPrefix(fresh.Header.Get("Range"), "0-") {
		t.Errorf("Range of a fresh upload is %q, want 0-…", fresh.Header.Get("Range"))
	}
	reg.Patch(t, loc, 0, wire.Random(100)).Want(t, 202)
	got := reg.Do(t, "GET", loc, nil).Want(t, 204).Has(t, "Range", "0-99")
	reg.Patch(t, reg.Resolve(t, got), 100, wire.Random(50)).Want(t, 202)
	reg.Do(t, "GET", loc, nil).Want(t, 204).Has(t, "Range", "0-149")
}

// A connection that ends within a chunk loses at most that chunk: GET tells what is there and the client goes on (use case "Resumable Push").
func TestPushingABlobInChunks_TornChunk(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(200_000)
	loc := reg.Begin(t, repo)
	reg.Patch(t, loc, 0, content[:1000]).Want(t, 202)
	broken := io.MultiReader(bytes.NewReader(content[1000:150_000]), failing{})
	if got, err := reg.Try("PATCH", loc, broken, "Content-Type", wire.Octets); err == nil && got.Status == 202 {
		t.Fatalf("a torn chunk was accepted: Range %s", got.Header.Get("Range"))
	}
	// The server may still be busy with what the broken connection brought when the client asks: then 416 says so, and it asks again.
	for attempt := 0; ; attempt++ {
		var last int
		got := reg.Do(t, "GET", loc, nil).Want(t, 204)
		if _, err := fmt.Sscanf(got.Header.Get("Range"), "0-%d", &last); err != nil || last < 999 || last >= 150_000 {
			t.Fatalf("Range after a torn chunk is %q", got.Header.Get("Range"))
		}
		if reg.Patch(t, reg.Resolve(t, got), last+1, content[last+1:]).Want(t, 202, 416).Status == 202 {
			break
		}
		if attempt == 50 {
			t.Fatal("the upload does not come to rest")
		}
		time.Sleep(20 * time.Millisecond)
	}
	pullable(t, reg.Close(t, loc, digest.FromBytes(content), nil).Want(t, 201), content)
}

// failing is a body that breaks off.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
