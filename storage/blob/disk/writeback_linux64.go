//go:build linux && (amd64 || arm64 || riscv64 || loong64 || s390x)

package disk

import (
	"os"
	"syscall"
)

// writeOnly is SYNC_FILE_RANGE_WRITE of sync_file_range(2): start writing, wait for nothing.
const writeOnly = 2

// startWriteback tells the kernel to begin carrying a range of f to the medium. It is a hint and its failure is none of ours: Commit's
// sync meets whatever is wrong.
func startWriteback(f *os.File, offset, length int64) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) { syscall.SyncFileRange(int(fd), offset, length, writeOnly) })
}
