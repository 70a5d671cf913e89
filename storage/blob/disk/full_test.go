//go:build unix

package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
)

// TestFull fills the medium: for a process with a limit on the size of its files, that is one byte beyond it.
func TestFull(t *testing.T) {
	if out, err := child("full", t.TempDir()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func init() { parts["full"] = pushIntoLimit }

func pushIntoLimit(dir string) error {
	const room = 1<<20 + 12345
	ctx := context.Background()
	s, err := disk.Open(dir)
	if err != nil {
		return err
	}
	before, err := push(s, "before", []byte("stored before"))
	if err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	narrow := limit
	narrow.Cur = room
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &narrow); err != nil {
		return err
	}

	content := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
	size, err := s.Append(ctx, "big", 0, bytes.NewReader(content))
	if !errors.Is(err, blob.ErrFull) || !errors.Is(err, syscall.EFBIG) || size != room {
		return fmt.Errorf("append: %d, %v; want %d and %v", size, err, room, blob.ErrFull)
	}
	if size, err = s.Append(ctx, "big", size, bytes.NewReader(content[size:])); !errors.Is(err, blob.ErrFull) || size != room {
		return fmt.Errorf("append again: %d, %v; want %d and %v", size, err, room, blob.ErrFull)
	}
	if info, err := s.Stat(ctx, before); err != nil || info.Size != int64(len("stored before")) {
		return fmt.Errorf("what was stored before: %+v, %v", info, err)
	}

	// There is room again.
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if size, err = s.Append(ctx, "big", size, bytes.NewReader(content[size:])); err != nil || size != int64(len(content)) {
		return fmt.Errorf("append with room: %d, %v", size, err)
	}
	d := digest.FromBytes(content)
	if err := s.Commit(ctx, "big", d); err != nil {
		return err
	}
	rc, err := s.Open(ctx, d, 0)
	if err != nil {
		return err
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, content) {
		return fmt.Errorf("read %d bytes, %v; want %d", len(got), err, len(content))
	}
	return nil
}
