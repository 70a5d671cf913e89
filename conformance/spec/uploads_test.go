package spec

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// DELETE of a running upload is 204, and from then on the upload is unknown.
func TestCancelABlobUpload(t *testing.T) {
	repo := wire.Repo(t)
	content := wire.Random(1000)
	d := digest.FromBytes(content)
	for _, begun := range []bool{false, true} {
		loc := reg.Begin(t, repo)
		if begun {
			reg.Patch(t, loc, 0, content).Want(t, 202)
		}
		reg.Do(t, "DELETE", loc, nil).Want(t, 204)
		reg.Do(t, "GET", loc, nil).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
		reg.Patch(t, loc, 0, content).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
		reg.Close(t, loc, d, nil).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
		reg.Do(t, "DELETE", loc, nil).Refused(t, "BLOB_UPLOAD_UNKNOWN", 404)
	}
	reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 404)
}

// An upload outlives the program: after kill -9 and a restart GET tells what was received, and PATCH and PUT go on from there, for
// both algorithms.
func TestPushingABlobInChunks_SurvivesKill(t *testing.T) {
	p := program.Start(t)
	r := wire.At(p.URL)
	repo := wire.Repo(t)
	content := wire.Random(300_000)
	algorithms := []digest.Algorithm{digest.SHA256, digest.SHA512}
	locs := make([]string, len(algorithms))
	for i := range algorithms {
		loc := r.Begin(t, repo)
		locs[i] = r.Resolve(t, r.Patch(t, loc, 0, content[:100_000]).Want(t, 202))
	}
	p.Kill()
	p.Restart()
	for i := range algorithms {
		r.Do(t, "GET", locs[i], nil).Want(t, 204).Has(t, "Range", "0-99999")
		r.Patch(t, locs[i], 100_000, content[100_000:200_000]).Want(t, 202).Has(t, "Range", "0-199999")
	}
	p.Kill()
	p.Restart()
	for i, algorithm := range algorithms {
		d := algorithm.FromBytes(content)
		r.Close(t, locs[i], d, content[200_000:], "Content-Range", wire.Span(200_000, content[200_000:])).Want(t, 201)
		if got := r.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200); !bytes.Equal(got.Body, content) {
			t.Errorf("%s: the blob holds other bytes", algorithm)
		}
	}
}

// What was answered with 201 is there after kill -9: blobs, manifests, tags, referrers.
func TestPush_WhatWasAnsweredSurvivesKill(t *testing.T) {
	p := program.Start(t)
	r := wire.At(p.URL)
	repo := wire.Repo(t)
	for round := range 3 {
		desc, body := r.PushImage(t, repo, "here")
		blob := r.PushBlob(t, repo, wire.Random(1000))
		p.Kill()
		p.Restart()
		if got := r.Do(t, "GET", wire.ManifestPath(repo, "here"), nil).Want(t, 200); !bytes.Equal(got.Body, body) {
			t.Errorf("round %d: the tag gives other bytes", round)
		}
		r.Do(t, "GET", wire.ManifestPath(repo, desc.Digest), nil).Want(t, 200)
		r.Do(t, "GET", wire.BlobPath(repo, blob), nil).Want(t, 200)
	}
}

// The server SHOULD at last let go of uploads that nobody finishes, and of their bytes.
func TestCancelABlobUpload_UnfinishedOnesExpire(t *testing.T) {
	p := program.Start(t, program.Config("limits: {uploadTTL: 1s}\n"))
	r := wire.At(p.URL)
	repo := wire.Repo(t)
	d := r.PushBlob(t, repo, wire.Random(10))
	loc := r.Begin(t, repo)
	mark := wire.Random(64)
	r.Patch(t, loc, 0, mark).Want(t, 202)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if r.Do(t, "GET", loc, nil).Status == 404 && !stored(t, filepath.Join(p.Dir, "data"), mark) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("an upload with a life of 1 s is still there, or its bytes are, after 30 s")
		}
	}
	r.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200) // what was finished stays
}

// stored tells whether any file of content under dir begins with these bytes.
func stored(t *testing.T, dir string, mark []byte) bool {
	found := false
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // files come and go while the program runs
		}
		f, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer f.Close()
		head := make([]byte, len(mark))
		n, _ := f.Read(head)
		found = found || bytes.Equal(head[:n], mark)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
