package blobtest

import (
	"io"
	"runtime"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

var reading = []promise{
	{"content that is not there is not found", func(t *testing.T, s blob.Store) {
		put(t, s, []byte("content"))
		requireAbsent(t, s, digest.FromString("other"))
		requireAbsent(t, s, digest.SHA512.FromString("content"))
	}},
	{"content is opened at any offset, and at or beyond its end is empty", func(t *testing.T, s blob.Store) {
		d := put(t, s, []byte("0123456789"))
		for offset, want := range map[int64]string{0: "0123456789", 3: "3456789", 9: "9", 10: "", 11: "", 1 << 40: ""} {
			requireBytes(t, drain(t, openAt(t, s, d, offset)), []byte(want))
		}
	}},
	{"a reader may be closed before its end", func(t *testing.T, s blob.Store) {
		d := put(t, s, noiseBytes(8, 1<<20))
		rc := openAt(t, s, d, 0)
		if _, err := io.ReadFull(rc, make([]byte, 10)); err != nil {
			t.Fatalf("read: %v", err)
		}
		if err := rc.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}},
	{"big content passes either way with flat memory", func(t *testing.T, s blob.Store) {
		const size, allowance = 64 << 20, 32 << 20
		live := &liveMemory{}
		name, hash := newName(), digest.SHA256.Digester()
		written, err := s.Append(background, name, 0, io.TeeReader(live.watch(noise(9, size)), hash.Hash()))
		if err != nil || written != size {
			t.Fatalf("append: %d, %v", written, err)
		}
		commit(t, s, name, hash.Digest())
		check := hash.Digest().Verifier()
		rc := openAt(t, s, hash.Digest(), 0)
		read, err := io.Copy(check, live.watch(rc))
		rc.Close()
		if err != nil || read != size || !check.Verified() {
			t.Fatalf("read %d bytes, %v, matching: %v", read, err, check.Verified())
		}
		if !isMemory(s) && live.growth() > allowance {
			t.Fatalf("%d MiB more in memory than at the beginning", live.growth()>>20)
		}
	}},
}

// isMemory tells whether a store is excused, since it holds content in memory by trade.
func isMemory(s blob.Store) bool {
	if f, ok := s.(*FaultyStore); ok {
		s = f.store
	}
	_, ok := s.(*blob.Memory)
	return ok
}

// liveMemory measures how much memory stays in use while readers are read.
type liveMemory struct{ first, most uint64 }

func (m *liveMemory) measure() {
	runtime.GC()
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	if m.first == 0 {
		m.first = now.HeapAlloc
	}
	m.most = max(m.most, now.HeapAlloc)
}

func (m *liveMemory) growth() uint64 { return m.most - m.first }

// watch returns src, measuring every 8 MiB.
func (m *liveMemory) watch(src io.Reader) io.Reader {
	m.measure()
	return &measured{src, m, 0}
}

type measured struct {
	io.Reader
	memory *liveMemory
	since  int
}

func (r *measured) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.since += n; r.since >= 8<<20 {
		r.since = 0
		r.memory.measure()
	}
	return n, err
}
