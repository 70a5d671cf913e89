package disk

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"github.com/entrepot/entrepot/storage/blob"
)

func TestClassify(t *testing.T) {
	for cause, full := range map[error]bool{
		syscall.ENOSPC: true, syscall.EDQUOT: true, syscall.EFBIG: true,
		syscall.EIO: false, syscall.EROFS: false, syscall.EACCES: false, blob.ErrUploadUnknown: false,
	} {
		err := classify(&fs.PathError{Op: "write", Path: "x", Err: cause})
		if errors.Is(err, blob.ErrFull) != full || !errors.Is(err, cause) {
			t.Errorf("%v became %v", cause, err)
		}
	}
}
