package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/entrepot/entrepot/storage/blob"
)

// classify wraps in [blob.ErrFull] what the system says when there is no room: on the medium, in the owner's quota, or within the
// greatest size a file may have.
func classify(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%w: %w", blob.ErrFull, err)
	}
	return err
}

func notFoundIfAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return blob.ErrNotFound
	}
	return err
}

func unknownIfAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return blob.ErrUploadUnknown
	}
	return err
}

// firstOf returns the first error there is.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
