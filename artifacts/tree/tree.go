// Package tree shows the components of a registry as folders and files, to people with a browser, wget or curl:
//
//	/tree/components/cloud/dmp/ownership.yaml
//	/tree/components/cloud/dmp/ms-ingestion/versions/1.0.2/docker/{image.tar,manifest.yaml}
//	/tree/components/cloud/dmp/ms-ingestion/versions/1.0.2/deb/{ms-ingestion_1.0.2_amd64.deb,manifest.yaml}
//	/tree/components/cloud/dmp/ms-ingestion/versions/1.0.2/generic/{fw.bin,manifest.yaml}
//	/tree/components/cloud/dmp/ms-ingestion/versions/1.0.2/{metadata.yaml,ownership.yaml,SHA256SUMS}
//
//	t := tree.New(tree.Config{Catalog: catalog, Registry: registry})
//	handler := door.New(at, append(routes, t.Routes()...)...)
//
//	wget -r -l inf -np -nH https://registry.example.com/tree/components/cloud/dmp/
//
// Nothing is stored for it, and nothing can be written to it. [Tree.File] serves the files of a version to other routes too.
//
// The promises:
//
//   - A folder shows what the caller may pull, and nothing else tells that there is more. It is a page of HTML without scripts, or a [Listing] in JSON for
//     whoever accepts application/json or asks with ?format=json.
//   - A file is sent as it was pushed, in ranges if asked (RFC 9110, section 14), with its digest (RFC 9530, Repr-Digest) and as something that no browser
//     runs. An answer that cannot be whole is cut, and never ends as if it were.
//   - A file is called what it was called when it was pushed, with the folders before its name. Where that could be no file's name everywhere, because it leads
//     out of the folder, is hidden, is another file's, or has characters that a file system or a terminal takes amiss, the file is called by its digest,
//     sha256-…, so that nothing is missing.
//   - SHA256SUMS has all files of a version but image.tar, for `sha256sum -c`. What is kept under a digest of another kind is not in it.
//   - image.tar is made while it is sent, the same bytes each time, for docker load, podman load and skopeo copy docker-archive:. It is the image for
//     linux/amd64, or if there is none the first, or the one for ?platform=linux/arm64. It is an OCI layout as well, so that the image keeps its digest
//     where that is looked at. Layers are in it as they were pushed; those packed with zstd, which Docker before 23 cannot unpack, are in it unpacked besides.
//
// What components, versions and documents are is left to package artifacts, and who may see them to the door.
package tree

import (
	"log/slog"
	"net/http"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// Config is what a tree stands on.
type Config struct {
	Catalog  *artifacts.Catalog
	Registry *registry.Registry
	Log      *slog.Logger // default: none
}

// Tree is the folders and files. Its methods may be called by many at once.
type Tree struct {
	catalog  *artifacts.Catalog
	registry *registry.Registry
	log      *slog.Logger
	unpacked *sizes
	page     int // entries of a folder that are shown at once, where folders have no end
}

// New returns the tree of a catalog.
func New(c Config) *Tree {
	t := &Tree{catalog: c.Catalog, registry: c.Registry, log: c.Log, unpacked: newSizes(), page: 10_000}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	return t
}

// Routes returns the table of /tree.
func (t *Tree) Routes() []door.Route {
	get := func(action auth.Action, serve door.Endpoint) map[string]door.Access {
		return map[string]door.Access{http.MethodGet: {Action: action, Serve: serve}} // and HEAD, of itself
	}
	return []door.Route{
		{Name: "tree-component", Match: inComponent, Methods: get(auth.Pull, t.getInComponent), Errors: door.Plain},
		{Name: "tree", Match: inTree, Methods: get(auth.List, t.getAbove), Errors: door.Plain},
	}
}
