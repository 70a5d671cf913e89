package disk_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob/disk"
)

// BenchmarkPush measures Append and Commit against the least that a synced write can be: create, write, sync. Content is not hashed,
// as drivers do not; the digests are made up.
func BenchmarkPush(b *testing.B) {
	for _, c := range []struct {
		size       int64
		goroutines int
	}{{1 << 10, 1}, {1 << 10, 16}, {10 << 20, 1}, {1 << 30, 1}} {
		name := fmt.Sprintf("%dKiB-%d", c.size>>10, c.goroutines)
		b.Run("plain/"+name, func(b *testing.B) {
			dir := b.TempDir()
			spread(b, c.goroutines, c.size, func(i int64) error { return writePlain(filepath.Join(dir, fmt.Sprint(i)), c.size) },
				func(i int64) error { return os.Remove(filepath.Join(dir, fmt.Sprint(i))) })
		})
		b.Run("store/"+name, func(b *testing.B) {
			s := warm(b)
			spread(b, c.goroutines, c.size, func(i int64) error { return pushZeros(s, i, c.size) },
				func(i int64) error { return s.Delete(ctx, madeUp(i)) })
		})
	}
}

// spread shares the calls of do among goroutines. Big files are removed at once, since the disk has an end.
func spread(b *testing.B, goroutines int, size int64, do, undo func(i int64) error) {
	b.SetBytes(size)
	var next atomic.Int64
	work := func() {
		for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
			if err := do(i); err != nil {
				b.Error(err)
				return
			}
			if size > 1<<20 {
				if goroutines == 1 {
					b.StopTimer()
				}
				if err := undo(i); err != nil {
					b.Error(err)
				}
				if goroutines == 1 {
					b.StartTimer()
				}
			}
		}
	}
	b.ResetTimer()
	done := make(chan struct{})
	for range goroutines {
		go func() { work(); done <- struct{}{} }()
	}
	for range goroutines {
		<-done
	}
}

// warm returns a store that has all its folders, as one has that was in use for a day.
func warm(b *testing.B) *disk.Store {
	dir := b.TempDir()
	for i := range 256 {
		if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256", fmt.Sprintf("%02x", i)), 0o700); err != nil {
			b.Fatal(err)
		}
	}
	return open(b, dir)
}

func madeUp(i int64) digest.Digest {
	return digest.Digest(fmt.Sprintf("sha256:%02x%062x", i%256, i))
}

func pushZeros(s *disk.Store, i, size int64) error {
	name := fmt.Sprintf("upload-%d", i)
	if _, err := s.Append(ctx, name, 0, zeros(size)); err != nil {
		return err
	}
	return s.Commit(ctx, name, madeUp(i))
}

func writePlain(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, zeros(size), make([]byte, min(size, 256<<10))); err != nil {
		return err
	}
	return f.Sync()
}

// zeros is a source that costs nothing, so that only the medium is measured.
func zeros(size int64) io.Reader { return io.LimitReader(zero{}, size) }

type zero struct{}

func (zero) Read(p []byte) (int, error) { return len(p), nil }

// BenchmarkOpen measures what a pull asks of the store.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []int64{1 << 10, 10 << 20, 1 << 30} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := warm(b)
			if err := pushZeros(s, 1, size); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(size)
			for b.Loop() {
				rc, err := s.Open(ctx, madeUp(1), 0)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, struct{ io.Reader }{rc}); n != size || err != nil {
					b.Fatal(n, err)
				}
				rc.Close()
			}
		})
	}
}

func BenchmarkStat(b *testing.B) {
	s := warm(b)
	if err := pushZeros(s, 1, 1<<10); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Stat(ctx, madeUp(1)); err != nil {
			b.Fatal(err)
		}
	}
}
