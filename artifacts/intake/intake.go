// Package intake makes artifacts of what people send with curl: a file goes in, and what comes out is what `oras push` and `oras attach` would have stored.
//
//	shelf := &intake.Shelf{Registry: reg, Catalog: catalog}
//	kept, err := shelf.File(ctx, "cloud/dmp/ms-ingestion", "1.0.2", artifacts.Generic, "fw.bin", "", r.ContentLength, r.Body, intake.Put{})
//	kept, err = shelf.Deb(ctx, "cloud/dmp/ms-ingestion", "", "", r.ContentLength, r.Body, intake.Put{})      // the package says which version it is
//	kept, err = shelf.Document(ctx, "cloud/dmp/ms-ingestion", "1.0.2", artifacts.Docker, document.KindManifest, text, intake.Put{})
//	kept, err = shelf.Owner(ctx, "cloud/dmp", document.KindOwnership, text, intake.Put{})
//
// The promises:
//
//   - Content is hashed and judged while it streams by. Of a file nothing but small buffers is held in memory, however long it is.
//   - Everything is stored through the registry's own operations: its admissions judge it, and its journal tells of it, as of any other push.
//   - Manifests are determined by what they hold, with no time in them: the same files make the same manifest, in whichever order they came.
//   - A version grows: a file with a new name is added to those that are there. A file that is there already stays as it is, and its content never changes:
//     the same content is no change ([Kept.Same]), another one is refused.
//   - Many may add files to one version at once, here and with other tools: all of them are there in the end.
//   - What fails leaves the version as it was, and an upload that fails is cancelled. A blob whose manifest was refused stays as after any push that broke
//     off there: nothing names it.
//
// Who may do what is decided by whoever calls (see [Put]). Which versions may still grow, and what is wrong with a document, is the catalog's business.
package intake

import (
	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/registry"
)

// Shelf takes things in. Its methods may be called by many at once; it must not be copied.
type Shelf struct {
	Registry *registry.Registry
	Catalog  *artifacts.Catalog // one of the registry's admissions

	turns turns
}

// Put is what is asked before something is stored. Nil asks nothing.
type Put struct {
	// Judge is asked about the manifest that is to be stored.
	Judge func(*registry.Manifest) error

	// Guard is asked before a tag that names something else is moved. Only [Shelf.Owner] moves tags so. Adding a file to a version is no such move, though its
	// tag names another manifest then: all that it named is still there, and whoever may push may add.
	Guard registry.Guard
}

// Kept tells where something is now.
type Kept struct {
	Repo    string        `json:"repo"`
	Tag     string        `json:"tag"`    // under which it is, or of what it is attached to
	Digest  digest.Digest `json:"digest"` // of the manifest that holds it
	Name    string        `json:"name"`   // of the file; a package's is what it says of itself
	File    digest.Digest `json:"file"`   // of the content itself
	Size    int64         `json:"size"`   // of it, in bytes
	Version string        `json:"version,omitempty"`
	Same    bool          `json:"same"` // it was there already, and nothing has changed
}
