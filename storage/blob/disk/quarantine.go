package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// quarantined returns where damaged content of d is kept.
func (s *Store) quarantined(d digest.Digest) string {
	return filepath.Join(s.dir, "quarantine", strings.Replace(string(d), ":", "-", 1))
}

// Quarantine implements [blob.Quarantiner]. The file is moved to the folder quarantine beside blobs and uploads, whatever it is by now, without being read.
func (s *Store) Quarantine(ctx context.Context, d digest.Digest) (string, error) {
	if err := firstOf(ctx.Err(), blob.CheckDigest(d)); err != nil {
		return "", fmt.Errorf("put content aside: %w", err)
	}
	place := s.quarantined(d)
	if err := s.moveAside(d, place); err != nil {
		return "", fmt.Errorf("put content %s aside: %w", d, classify(err))
	}
	return place, nil
}

func (s *Store) moveAside(d digest.Digest, place string) error {
	if _, err := os.Lstat(s.blobPath(d)); err != nil {
		return notFoundIfAbsent(err)
	}
	if err := makeFolder(filepath.Dir(place)); err != nil {
		return err
	}
	err := os.Rename(s.blobPath(d), place)
	if err != nil && !errors.Is(notFoundIfAbsent(err), blob.ErrNotFound) {
		// What was put aside before is of another kind, as a folder is: it goes, whatever is in it.
		if err = os.RemoveAll(place); err == nil {
			err = os.Rename(s.blobPath(d), place)
		}
	}
	if err != nil {
		return notFoundIfAbsent(err)
	}
	// First the new name, then the loss of the old one: a power cut in between leaves the content in one of both places, or in both.
	return errors.Join(syncFolder(filepath.Dir(place)), syncFolder(s.shelfPath(d)), syncFolder(s.dir))
}
