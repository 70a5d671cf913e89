package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// algorithms are the folders under blobs; they are the algorithms that blob.CheckDigest lets through.
var algorithms = [...]string{"sha256", "sha512"}

// Open returns the store in dir, which is made if absent. A folder that cannot be written is told here, in one line, and not by the
// first push. Uploads and content may not lie on different filesystems, since a Commit is a rename.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir, blobs: filepath.Join(dir, "blobs"), uploads: filepath.Join(dir, "uploads")}
	s.shelves.good = map[string]bool{}
	if err := s.makeFolders(); err != nil {
		return nil, err
	}
	if err := s.probe(); err != nil {
		return nil, err
	}
	return s, nil
}

// makeFolders makes what is missing of the layout, and syncs the names even when nothing was: the process that made them may have
// died before it did.
func (s *Store) makeFolders() error {
	if err := makeFolderAll(s.dir); err != nil {
		return err
	}
	for _, folder := range []string{s.uploads, s.blobs} {
		if err := makeFolder(folder); err != nil {
			return err
		}
	}
	for _, alg := range algorithms {
		if err := makeFolder(filepath.Join(s.blobs, alg)); err != nil {
			return err
		}
		if err := s.findShelves(alg); err != nil {
			return fmt.Errorf("data folder %s cannot be read: %w", filepath.Join(s.blobs, alg), reason(err))
		}
	}
	for _, parent := range []string{s.blobs, s.dir} {
		if err := syncFolder(parent); err != nil {
			return fmt.Errorf("data folder %s cannot be synced: %w", parent, reason(err))
		}
	}
	return nil
}

// probe does what every push will do: it makes a file in uploads and renames it into blobs.
func (s *Store) probe() error {
	// The pattern gives valid names of uploads, so that a sweeper takes away what a crash leaves.
	f, err := os.CreateTemp(s.uploads, "probe-*")
	if err != nil {
		return unwritable(s.uploads, err)
	}
	f.Close() // nothing was written
	from, to := f.Name(), filepath.Join(s.blobs, filepath.Base(f.Name()))
	err = os.Rename(from, to)
	if err == nil {
		err = os.Remove(to)
	} else {
		os.Remove(from)
	}
	if errors.Is(err, syscall.EXDEV) {
		return fmt.Errorf("data folders %s and %s lie on different filesystems", s.uploads, s.blobs)
	}
	if err != nil {
		return unwritable(s.blobs, err)
	}
	return nil
}

// makeFolderAll makes path with all parents, and syncs the parent of each folder that it made.
func makeFolderAll(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return makeFolder(path)
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := makeFolderAll(parent); err != nil {
			return err
		}
	}
	if err := makeFolder(path); err != nil {
		return err
	}
	if err := syncFolder(parent); err != nil {
		return fmt.Errorf("data folder %s cannot be synced: %w", parent, reason(err))
	}
	return nil
}

// makeFolder makes path unless it is there.
func makeFolder(path string) error {
	err := os.Mkdir(path, folderMode)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("data folder %s cannot be made: %w", path, reason(err))
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return fmt.Errorf("data folder %s cannot be made: a file is in its place", path)
	}
	return nil
}

func unwritable(folder string, err error) error {
	return fmt.Errorf("data folder %s cannot be written: %w", folder, reason(err))
}

// reason strips the operation and the path that package os adds, where the message names both already.
func reason(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
