//go:build !unix

package disk

import (
	"errors"
	"fmt"
)

// noFollow is nothing where an open knows no such flag.
const noFollow = 0

// syncFolder does nothing where folders cannot be synced.
func syncFolder(string) error { return nil }

func freeBytes(path string) (uint64, error) {
	return 0, fmt.Errorf("free space of %s: %w", path, errors.ErrUnsupported)
}
