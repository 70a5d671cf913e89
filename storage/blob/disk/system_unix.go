//go:build unix

package disk

import (
	"fmt"
	"os"
	"syscall"
)

// noFollow makes an open fail where a symbolic link lies in a file's place: links are never ours, and may lead out of the folder.
const noFollow = syscall.O_NOFOLLOW

// syncFolder makes durable which names a folder holds; syncing a file makes durable only what is in it.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // nothing is written through it
	return f.Sync()
}

// freeBytes counts what is left for everybody, not the share that the filesystem keeps for its administrator.
func freeBytes(path string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", path, err)
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil
}
