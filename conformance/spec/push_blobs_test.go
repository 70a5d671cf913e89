package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// pullable fails the test unless the reply's Location gives the content.
func pullable(t *testing.T, a wire.Reply, content []byte) {
	t.Helper()
	if got := reg.Do(t, "GET", reg.Resolve(t, a), nil).Want(t, 200); !bytes.Equal(got.Body, content) {
		t.Errorf("%s: the Location gives other bytes", a.Asked)
	}
}

// POST gives 202 and a Location that holds the session's UUID, in its path: some clients drop the query of a Location.
func TestPushingABlobMonolithically_PostGivesALocation(t *testing.T) {
	got := reg.Do(t, "POST", wire.UploadsPath(wire.Repo(t)), []byte{}).Want(t, 202)
	loc := reg.Resolve(t, got)
	path, query, _ := strings.Cut(loc, "?")
	if query != "" {
		t.Errorf("Location %s carries state in its query", loc)
	}
	if !uuid.MatchString(path) {
		t.Errorf("Location %s holds no UUID", loc)
	}
}

// Two sessions are two: no Location is given twice.
func TestPushingABlobMonolithically_SessionsAreUnique(t *testing.T) {
	repo := wire.Repo(t)
	seen := map[string]bool{}
	for range 50 {
		loc := reg.Begin(t, repo)
		if seen[loc] {
			t.Fatalf("%s was given twice", loc)
		}
		seen[loc] = true
	}
}

// POST then PUT: 201, with a Location where the blob can be pulled and its digest.
func TestPushingABlobMonolithically_PostThenPut(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(5000)
	d := digest.FromBytes(content)
	got := reg.Close(t, reg.Begin(t, repo), d, content).Want(t, 201).Has(t, "Docker-Content-Digest", d.String())
	pullable(t, got, content)
}

// A body of unknown length (chunked coding) is taken too: HTTP allows it and streaming clients send it.
func TestPushingABlobMonolithically_PutOfUnknownLength(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(300 << 10)
	d := digest.FromBytes(content)
	loc := wire.With(reg.Begin(t, repo), "digest", d.String())
	pullable(t, reg.Stream(t, "PUT", loc, io.MultiReader(bytes.NewReader(content)), "Content-Type", wire.Octets).Want(t, 201), content)
}

// A single POST with digest and body: 201 and a pullable Location, no second request.
func TestPushingABlobMonolithically_SinglePost(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(5000)
	d := digest.FromBytes(content)
	got := reg.Do(t, "POST", wire.With(wire.UploadsPath(repo), "digest", d.String()), content, "Content-Type", wire.Octets).
		Want(t, 201).Has(t, "Docker-Content-Digest", d.String())
	pullable(t, got, content)
}

// The digest must match the blob's: content under a false digest is refused and not kept, by whichever way it came.
func TestPushingABlobMonolithically_WrongDigestIsRefused(t *testing.T) {
	repo := wire.Repo(t)
	content, d := wire.Random(2000), absent()
	reg.Close(t, reg.Begin(t, repo), d, content).Refused(t, "DIGEST_INVALID", 400)
	reg.Do(t, "POST", wire.With(wire.UploadsPath(repo), "digest", d.String()), content, "Content-Type", wire.Octets).
		Refused(t, "DIGEST_INVALID", 400)
	reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 404)
	reg.Do(t, "GET", wire.BlobPath(repo, digest.FromBytes(content)), nil).Want(t, 404)
}

// A PUT without a digest closes nothing.
func TestPushingABlobMonolithically_PutNeedsADigest(t *testing.T) {
	loc := reg.Begin(t, wire.Repo(t))
	reg.Do(t, "PUT", loc, wire.Random(10), "Content-Type", wire.Octets).Refused(t, "DIGEST_INVALID|BLOB_UPLOAD_INVALID", 400)
}

// An invalid digest, or one of an algorithm that the registry does not know, is 400.
func TestPushingBlobs_InvalidDigestIsRefused(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(64)
	for _, d := range []string{
		"md5:d41d8cd98f00b204e9800998ecf8427e", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "sha256:short", "sha256", "nonsense", "sha256:" + strings.Repeat("G", 64),
		"blake3:" + strings.Repeat("a", 64),
	} {
		reg.Close(t, reg.Begin(t, repo), digest.Digest(d), content).Refused(t, "DIGEST_INVALID|UNSUPPORTED", 400)
		reg.Do(t, "POST", wire.With(wire.UploadsPath(repo), "digest", d), content, "Content-Type", wire.Octets).
			Refused(t, "DIGEST_INVALID|UNSUPPORTED", 400)
	}
}

// A client that sends less than its Content-Length has pushed nothing.
func TestPushingABlobMonolithically_ShortBodyIsNoBlob(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(1000)
	d := digest.FromBytes(content)
	loc := strings.TrimPrefix(reg.Begin(t, repo), reg.URL)
	// Whether an answer comes does not matter; what is kept does.
	if err := reg.Torn("PUT " + wire.With(loc, "digest", d.String()) + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n" + string(content)); err != nil {
		t.Log(err)
	}
	reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 404)
}

// sha512 goes end to end: POST then PUT, single POST, HEAD, GET, and the digest told is the one that was asked for.
func TestPushingBlobs_Sha512(t *testing.T) {
	repo := wire.Repo(t)
	for name, push := range map[string]func([]byte, digest.Digest) wire.Reply{
		"POST then PUT": func(b []byte, d digest.Digest) wire.Reply { return reg.Close(t, reg.Begin(t, repo), d, b) },
		"announced POST then PUT": func(b []byte, d digest.Digest) wire.Reply {
			return reg.Close(t, reg.Begin(t, repo, "digest-algorithm", "sha512"), d, b)
		},
		"single POST": func(b []byte, d digest.Digest) wire.Reply {
			return reg.Do(t, "POST", wire.With(wire.UploadsPath(repo), "digest", d.String()), b, "Content-Type", wire.Octets)
		},
	} {
		content := wire.Random(3000)
		d := digest.SHA512.FromBytes(content)
		got := push(content, d).Want(t, 201).Has(t, "Docker-Content-Digest", d.String())
		pullable(t, got, content)
		reg.Do(t, "HEAD", wire.BlobPath(repo, d), nil).Want(t, 200).Has(t, "Docker-Content-Digest", d.String())
		back := reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200)
		if digest.SHA512.FromBytes(back.Body) != d {
			t.Errorf("%s: the body does not match its sha512", name)
		}
	}
}

// A false sha512 is refused as a false sha256 is.
func TestPushingBlobs_WrongSha512IsRefused(t *testing.T) {
	repo := wire.Repo(t)
	reg.Close(t, reg.Begin(t, repo), digest.SHA512.FromBytes(wire.Random(8)), wire.Random(100)).Refused(t, "DIGEST_INVALID", 400)
}

// The empty blob and the empty JSON document are blobs like any other, under both algorithms, and may be pushed again.
func TestPushingBlobs_EmptyBlobAndEmptyDocument(t *testing.T) {
	repo := wire.Repo(t)
	for _, content := range [][]byte{{}, []byte("{}")} {
		for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			d := algorithm.FromBytes(content)
			for range 2 {
				pullable(t, reg.Close(t, reg.Begin(t, repo), d, content).Want(t, 201), content)
			}
			got := reg.Do(t, "HEAD", wire.BlobPath(repo, d), nil).Want(t, 200)
			if got.Length != int64(len(content)) {
				t.Errorf("%s: Content-Length %d, want %d", d, got.Length, len(content))
			}
			single := reg.Do(t, "POST", wire.With(wire.UploadsPath(repo), "digest", d.String()), content, "Content-Type", wire.Octets)
			if single.Want(t, 201, 202); single.Status == 201 {
				pullable(t, single, content)
			}
		}
	}
}

// A Location is for its repository: through another one the session does not exist.
func TestPushingBlobs_UploadBelongsToItsRepository(t *testing.T) {
	repo, other := wire.Repo(t), wire.Repo(t)
	reg.PushBlob(t, other, wire.Random(10)) // so that the other repository exists
	content := wire.Random(100)
	d := digest.FromBytes(content)
	loc := reg.Begin(t, repo)
	foreign := strings.Replace(loc, "/v2/"+repo+"/", "/v2/"+other+"/", 1)
	if foreign == loc {
		t.Fatalf("Location %s does not name its repository", loc)
	}
	reg.Do(t, "GET", foreign, nil).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
	reg.Patch(t, foreign, 0, content).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
	reg.Close(t, foreign, d, content).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
	reg.Do(t, "DELETE", foreign, nil).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
	reg.Close(t, loc, d, content).Want(t, 201)
	reg.Do(t, "GET", wire.BlobPath(other, d), nil).Want(t, 404)
}

// A session that never was, or is over, is 404 BLOB_UPLOAD_UNKNOWN.
func TestPushingBlobs_UnknownUpload(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(100)
	d := digest.FromBytes(content)
	over := reg.Begin(t, repo)
	reg.Close(t, over, d, content).Want(t, 201)
	for _, loc := range []string{over, reg.URL + wire.UploadsPath(repo) + "7d1f0f6e-0000-4000-8000-000000000000", reg.URL + wire.UploadsPath(repo) + "nonsense"} {
		reg.Do(t, "GET", loc, nil).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
		reg.Patch(t, loc, 0, content).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
		reg.Close(t, loc, d, content).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
		reg.Do(t, "DELETE", loc, nil).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
	}
}

// If two builds upload the same blob at once, both go on and both succeed (use case "Layer Upload De-duplication").
func TestPushingBlobs_SameBlobAtOnce(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(1 << 20)
	d := digest.FromBytes(content)
	var all sync.WaitGroup
	for range 8 {
		loc := reg.Begin(t, repo)
		all.Go(func() {
			got, err := reg.Try("PUT", wire.With(loc, "digest", d.String()), bytes.NewReader(content), "Content-Type", wire.Octets)
			if err != nil || got.Status != 201 {
				t.Errorf("status %d, %v", got.Status, err)
			}
		})
	}
	all.Wait()
	if got := reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200); !bytes.Equal(got.Body, content) {
		t.Error("the blob holds other bytes")
	}
}

// Uploads that run side by side do not mix: many clients push different blobs of all sizes, by every way, and each gets its 201 and its
// own bytes back. (A buffer that two uploads share for a moment shows here as a good blob that is refused.)
func TestPushingBlobs_ManyAtOnce(t *testing.T) {
	repo := wire.Repo(t)
	var clients sync.WaitGroup
	for client := range 16 {
		clients.Go(func() {
			for round := range 25 {
				content := wire.Random(1 + (client*7919+round*104_729)%700_000)
				d := digest.FromBytes(content)
				if err := pushBy((client+round)%4, repo, d, content); err != nil {
					t.Errorf("client %d, round %d, %d bytes: %v", client, round, len(content), err)
					return
				}
				got, err := reg.Try("GET", wire.BlobPath(repo, d), nil)
				if err != nil || got.Status != 200 || !bytes.Equal(got.Body, content) {
					t.Errorf("client %d, round %d: read back with status %d, %v", client, round, got.Status, err)
					return
				}
			}
		})
	}
	clients.Wait()
}

// pushBy uploads content by one of four ways: whole with the PUT, whole of unknown length, one PATCH, two PATCHes.
func pushBy(way int, repo string, d digest.Digest, content []byte) error {
	got, err := reg.Try("POST", wire.UploadsPath(repo), nil)
	if err != nil || got.Status != 202 {
		return errors.Join(err, fmt.Errorf("begin: status %d", got.Status))
	}
	loc := got.Header.Get("Location")
	if strings.HasPrefix(loc, "/") {
		loc = reg.URL + loc
	}
	var rest io.Reader
	switch half := len(content) / 2; way {
	case 0:
		rest = bytes.NewReader(content)
	case 1:
		rest = io.MultiReader(bytes.NewReader(content))
	case 2, 3:
		parts := [][]byte{content}
		if way == 3 {
			parts = [][]byte{content[:half], content[half:]}
		}
		for _, part := range parts {
			if got, err = reg.Try("PATCH", loc, bytes.NewReader(part), "Content-Type", wire.Octets); err != nil || got.Status != 202 {
				return errors.Join(err, fmt.Errorf("chunk: status %d %s", got.Status, got.Excerpt()))
			}
		}
	}
	if got, err = reg.Try("PUT", wire.With(loc, "digest", d.String()), rest, "Content-Type", wire.Octets); err != nil || got.Status != 201 {
		return errors.Join(err, fmt.Errorf("close: status %d %s", got.Status, got.Excerpt()))
	}
	return nil
}

// Two that write to one session at once: what comes of it is one of the two, or a refusal, and never a blob that does not match.
func TestPushingBlobs_TwoWritersOfOneUpload(t *testing.T) {
	repo := wire.Repo(t)
	a, b := wire.Random(512<<10), wire.Random(512<<10)
	loc := reg.Begin(t, repo)
	var both sync.WaitGroup
	for _, content := range [][]byte{a, b} {
		both.Go(func() {
			got, err := reg.Try("PUT", wire.With(loc, "digest", digest.FromBytes(content).String()), bytes.NewReader(content), "Content-Type", wire.Octets)
			if err == nil && got.Status >= 500 {
				t.Errorf("status %d: %s", got.Status, got.Excerpt())
			}
		})
	}
	both.Wait()
	for _, content := range [][]byte{a, b} {
		if got := reg.Do(t, "GET", wire.BlobPath(repo, digest.FromBytes(content)), nil).Want(t, 200, 404); got.Status == 200 && !bytes.Equal(got.Body, content) {
			t.Error("a blob holds bytes that do not match its digest")
		}
	}
}
