// Package disk keeps content in plain files, one per blob, readable with nothing but ls and sha256sum.
//
//	<dir>/blobs/sha256/7d/7d1f…   content under its digest
//	<dir>/uploads/<name>          what is still being received
//	<dir>/quarantine/sha256-7d1f… what was found damaged, for an operator to look at, or to delete
//
// A blob's file is complete and synced before it gets its name and never changes afterwards. So a crash at any point leaves at most an
// orphan under uploads, for the sweeper; nothing needs to be repaired when the folder is opened again.
//
// Folders are made with mode 0700 and files with 0600. Files that are not ours are left alone and never listed.
// Whether bytes match a digest is the caller's business, as package blob says.
package disk

import (
	"io/fs"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

const (
	folderMode fs.FileMode = 0o700
	fileMode   fs.FileMode = 0o600
)

// Store is a [blob.Store] in a folder. It is safe for concurrent use, and holds nothing open between calls.
type Store struct {
	dir, blobs, uploads string
	shelves             shelves
}

var (
	_ blob.Store       = (*Store)(nil)
	_ blob.Quarantiner = (*Store)(nil)
)

// blobPath returns where d lies. d was checked, so that it holds no separator and at least two hex digits.
func (s *Store) blobPath(d digest.Digest) string { return filepath.Join(s.shelfPath(d), d.Encoded()) }

// shelfPath returns the folder of d: the first two hex digits spread blobs over 256.
func (s *Store) shelfPath(d digest.Digest) string {
	return filepath.Join(s.blobs, d.Algorithm().String(), d.Encoded()[:2])
}

// uploadPath returns where an upload lies. The name was checked, so that it holds no separator and does not begin with a dot.
func (s *Store) uploadPath(name string) string { return filepath.Join(s.uploads, name) }

// Free returns the bytes that the filesystem has left for this process.
func (s *Store) Free() (uint64, error) { return freeBytes(s.dir) }
