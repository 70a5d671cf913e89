package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// far is a registry that servers pull through: it makes its blobs as they are asked for, and counts. It is the same for all peers and
// takes little of the processors, as it has neither disk nor hash; it ends with the bench.
type far struct {
	addr string

	mu        sync.Mutex
	manifests map[string][]byte // by the path below its repository
	blobs     map[string]blob   // by digest
	told      map[string]*told  // by path
	rate      float64           // bytes a second, over all connections; 0 is as fast as can be
	free      time.Time         // when the line is free again
}

// told is what was asked and said about an object.
type told struct {
	asked int
	first time.Time // when its first byte went out
	sent  int64
}

// farRepo is where all of its images are.
const farRepo = "bench/far"

func newFar() (*far, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &far{addr: l.Addr().String(), manifests: map[string][]byte{}, blobs: map[string]blob{}}
	f.forget(0)
	server := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	return f, nil
}

// forget counts anew, and sets how many bytes a second all get together.
func (f *far) forget(rate float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told, f.rate, f.free = map[string]*told{}, rate, time.Time{}
}

// add puts an image there.
func (f *far) add(i farImage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.manifests[i.tag], f.manifests[digest(i.manifest)] = i.manifest, i.manifest
	for _, b := range i.blobs {
		f.blobs[b.digest] = b
	}
}

// sums returns how often an object was asked for, and how many bytes went out, over all objects.
func (f *far) sums() (asked int, sent int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.told {
		asked, sent = asked+t.asked, sent+t.sent
	}
	return asked, sent
}

// first returns when the first byte of an object went out.
func (f *far) first(object string) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.told[object]; t != nil {
		return t.first
	}
	return time.Time{}
}

func (f *far) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	object, ok := strings.CutPrefix(r.URL.Path, "/v2/"+farRepo+"/")
	if !ok {
		if r.URL.Path != "/v2/" {
			w.WriteHeader(http.StatusNotFound)
		}
		return
	}
	f.mu.Lock()
	if f.told[object] == nil {
		f.told[object] = &told{}
	}
	t := f.told[object]
	t.asked++
	manifest := f.manifests[strings.TrimPrefix(object, "manifests/")]
	b, isBlob := f.blobs[strings.TrimPrefix(object, "blobs/")]
	f.mu.Unlock()
	out := &counted{far: f, told: t, w: w}
	switch {
	case manifest != nil:
		w.Header().Set("Docker-Content-Digest", digest(manifest))
		w.Header().Set("Content-Type", imageType)
		w.Header().Set("Content-Length", strconv.Itoa(len(manifest)))
		if r.Method == http.MethodGet {
			_, _ = out.Write(manifest)
		}
	case isBlob:
		from := int64(0)
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil || from >= b.size {
			from = 0
		}
		w.Header().Set("Docker-Content-Digest", b.digest)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(b.size-from, 10))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, b.size-1, b.size))
			w.WriteHeader(http.StatusPartialContent)
		}
		if r.Method == http.MethodGet {
			_ = b.write(out, from, b.size)
		}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// counted is a body on its way out, in pieces that take their turn on the line.
type counted struct {
	far  *far
	told *told
	w    http.ResponseWriter
}

func (c *counted) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		piece := p[n:min(len(p), n+64*kib)]
		time.Sleep(time.Until(c.far.turn(c.told, len(piece))))
		var m int
		m, err = c.w.Write(piece)
		n += m
	}
	return n, err
}

// turn notes that so many bytes go out, and returns when they may.
func (f *far) turn(t *told, n int) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if t.sent += int64(n); t.first.IsZero() {
		t.first = now
	}
	if f.rate == 0 {
		return now
	}
	// Whoever slept too long catches up.
	if late := now.Add(-10 * time.Millisecond); f.free.Before(late) {
		f.free = late
	}
	at := f.free
	f.free = at.Add(time.Duration(float64(n) / f.rate * float64(time.Second)))
	return at
}
