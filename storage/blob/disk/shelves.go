package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"
)

// shelves remembers which folders under blobs are there for good: made, and their names synced. That a folder is there does not say
// so much, since another Commit may have made it this moment, and not yet have synced it.
type shelves struct {
	mu   sync.RWMutex
	good map[string]bool // by path
}

// openShelf opens the folder that d belongs in, and makes it if need be; then it costs a sync more.
func (s *Store) openShelf(d digest.Digest) (*os.File, error) {
	path := s.shelfPath(d)
	s.shelves.mu.RLock()
	good := s.shelves.good[path]
	s.shelves.mu.RUnlock()
	if good {
		if f, err := os.Open(path); !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		// Somebody tidied up empty folders.
	}
	s.shelves.mu.Lock()
	defer s.shelves.mu.Unlock()
	if err := makeFolder(path); err != nil {
		return nil, err
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	s.shelves.good[path] = true
	return os.Open(path)
}

// findShelves takes stock of an algorithm's folders, and syncs their names once: the process that made the last of them may have died
// before it did.
func (s *Store) findShelves(alg string) error {
	paths, err := s.shelvesOf(alg)
	if err != nil {
		return err
	}
	for _, path := range paths {
		s.shelves.good[path] = true
	}
	return syncFolder(filepath.Join(s.blobs, alg))
}

// shelvesOf returns the folders of an algorithm that are there now, at most 256.
func (s *Store) shelvesOf(alg string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.blobs, alg))
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, entry := range entries {
		if entry.IsDir() && len(entry.Name()) == 2 {
			paths = append(paths, filepath.Join(s.blobs, alg, entry.Name()))
		}
	}
	return paths, nil
}
