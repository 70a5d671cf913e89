package disk

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// Commit implements [blob.Intake]. It costs two syncs, one of the file and one of the folder that gets the name; in this order, since
// a name that reached the medium before its bytes would after a power cut stand for a torn file. The first content in each of the 256
// folders costs a third.
//
// When the medium fails while it syncs, the upload is gone: the kernel reports lost pages once and then calls them clean, so that a
// second Commit would succeed with bytes that are not there.
func (s *Store) Commit(ctx context.Context, upload string, d digest.Digest) error {
	if err := firstOf(ctx.Err(), blob.CheckUpload(upload), blob.CheckDigest(d)); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := s.commit(s.uploadPath(upload), d); err != nil {
		return fmt.Errorf("commit upload %s as %s: %w", upload, d, classify(err))
	}
	return nil
}

func (s *Store) commit(from string, d digest.Digest) error {
	f, err := os.OpenFile(from, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return unknownIfAbsent(err)
	}
	defer f.Close() // nothing is written through it, and its sync has told all
	// The folder is opened before the point of no return, where too many open files would be a pity.
	shelf, err := s.openShelf(d)
	if err != nil {
		return err
	}
	defer shelf.Close()
	// Modified is the time of the commit. The last Append may be days ago, and who sweeps by age would take the new for the old.
	now := time.Now()
	if err := os.Chtimes(from, now, now); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		os.Remove(from)
		return err
	}
	if err := os.Rename(from, s.blobPath(d)); err != nil {
		return err
	}
	// Without this the rename is in memory only. The folder it left needs no sync: should the old name come back in place of the new,
	// the new one was not synced, and Commit has not returned.
	return shelf.Sync()
}
