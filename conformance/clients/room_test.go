//go:build clients

package clients

import (
	"os"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"
)

// room returns a private folder that is empty again after the test, even of what an engine left mounted in it.
// Its path is short, because a unix socket's path may have no more than 107 characters.
func room(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ec")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A container's monitor may still be tidying up there for a moment after the client that started it returned.
		err := empty(dir)
		for deadline := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(deadline); err = empty(dir) {
			time.Sleep(100 * time.Millisecond)
		}
		if err != nil {
			t.Errorf("empty %s: %v", dir, err)
		}
	})
	return dir
}

// empty unmounts everything beneath dir and removes it.
func empty(dir string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var mounted []string
	for _, line := range strings.Split(string(table), "\n") {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			mounted = append(mounted, f[4])
		}
	}
	// The deepest first; detached, because a process that is on its way out may still hold one.
	sort.Sort(sort.Reverse(sort.StringSlice(mounted)))
	for _, path := range mounted {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil && err != syscall.EINVAL {
			return &os.PathError{Op: "unmount", Path: path, Err: err}
		}
	}
	return os.RemoveAll(dir)
}

// stacked says whether dir lies on an overlay file system, as folders inside a container do. The kernel stacks no further overlay on
// one, so engines that would mount theirs there have to copy layers instead.
func stacked(t *testing.T, dir string) bool {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	return fs.Type == 0x794c7630 // OVERLAYFS_SUPER_MAGIC in linux/magic.h
}
