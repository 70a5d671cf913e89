package apt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/door"
)

// suiteOf is the suite that a policy is asked about as on.
func suiteOf(on string) string { return strings.TrimPrefix(on, artifacts.SuiteRepo("")) }

// getFile serves a file of the suite as it is published now.
func (v *view) getFile(w http.ResponseWriter, r *http.Request, c door.Call) error {
	s, err := v.suite(r.Context(), suiteOf(c.On))
	if err != nil {
		return err
	}
	return v.sendFile(w, r, c, s, c.Last, false)
}

// suite returns what is published now.
func (v *view) suite(ctx context.Context, name string) (suite.Snapshot, error) {
	s, err := v.catalog.Suite(ctx, name)
	if errors.Is(err, artifacts.ErrUnknown) {
		return s, noSuite(name)
	}
	if err != nil {
		return s, fmt.Errorf("read suite %s: %w", name, err)
	}
	return s, nil
}

// noSuite is only told to those who might read the suite if it were there.
func noSuite(name string) error {
	return notFound("there is no suite "+name,
		"a suite comes with the first promotion of a Debian package to its place, as cloud-prod with one to cloud.prod; /apt/dists/ lists those that you may read")
}

// sendFile serves a file of a snapshot, or one by its hash of any snapshot that is kept: who has read the InRelease of one asks for its lists, whatever was
// published since.
func (v *view) sendFile(w http.ResponseWriter, r *http.Request, c door.Call, s suite.Snapshot, name string, fixed bool) error {
	if hash, folder, ok := suite.ByHash(name); ok {
		return v.sendByHash(w, r, c, s, hash, folder)
	}
	f, ok := s.Find(name)
	if !ok {
		return notFound("suite "+s.Suite+" has no such file",
			"there are InRelease, Release, Release.gpg, and Packages, Packages.gz and Packages.xz in <component>/binary-<architecture>/; Release names them all")
	}
	err := v.send(w, r, c, artifacts.SuiteRepo(s.Suite), blobOf(f.SHA256), file{mediaType: typeOf(name), modified: s.Date, fixed: fixed})
	return lost(err, name+" of suite "+s.Suite)
}

func (v *view) sendByHash(w http.ResponseWriter, r *http.Request, c door.Call, s suite.Snapshot, hash, folder string) error {
	if _, found := s.Find(folder + "/by-hash/SHA256/" + hash); !found {
		_, err := v.catalog.SuiteHash(r.Context(), s.Suite, hash)
		if errors.Is(err, artifacts.ErrUnknown) {
			return notFound("no snapshot of suite "+s.Suite+" that is kept has a file of this hash", "run apt-get update again")
		}
		if err != nil {
			return fmt.Errorf("look up a file of suite %s by its hash: %w", s.Suite, err)
		}
	}
	return v.send(w, r, c, artifacts.SuiteRepo(s.Suite), blobOf(hash), file{mediaType: "application/octet-stream", fixed: true})
}

func blobOf(hash string) digest.Digest { return digest.NewDigestFromEncoded(digest.SHA256, hash) }

// typeOf returns the media type of a file. What is compressed is a file of its own, and no encoding of another: apt counts its bytes.
func typeOf(name string) string {
	switch path.Base(name) {
	case suite.InRelease, suite.Release, "Packages":
		return plain
	case suite.ReleaseGPG:
		return "application/pgp-signature"
	}
	return "application/octet-stream"
}
