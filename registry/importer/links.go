package importer

import (
	"context"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// Links is a store whose uploads may be names of files that there are already, so that no byte is written a second time. The registry above it reads and hashes
// all of them as ever; what it receives then is not written, but the file that it was read from gets a further name. What cannot be linked is copied: another
// file system, or a file that somebody else owns or may write to, and so could change under its digest.
//
//	links := importer.NewLinks(store, func(upload string) string { return filepath.Join(dir, "uploads", upload) })
//	reg, err := registry.Open(ctx, registry.Config{Blobs: links, …})
//	to := &importer.Local{Registry: reg, Links: links}
type Links struct {
	blob.Store
	place  func(upload string) string
	offers sync.Map // digest → *offer
}

// offer is a file that holds the content of a digest.
type offer struct {
	file  *os.File
	taken atomic.Bool
}

// NewLinks returns a store above one in a folder, which keeps an upload in the file that place says.
func NewLinks(store blob.Store, place func(upload string) string) *Links {
	return &Links{Store: store, place: place}
}

func (l *Links) offer(d digest.Digest, file *os.File) *offer {
	o := &offer{file: file}
	l.offers.Store(d, o)
	return o
}

func (l *Links) withdraw(d digest.Digest) { l.offers.Delete(d) }

// Append implements [blob.Intake].
func (l *Links) Append(ctx context.Context, upload string, offset int64, src io.Reader) (int64, error) {
	found, offered := l.offers.Load(blob.Expected(upload))
	if !offered || offset != 0 || blob.CheckUpload(upload) != nil {
		return l.Store.Append(ctx, upload, offset, src)
	}
	o := found.(*offer)
	if o.taken.Load() || !l.link(o.file, l.place(upload)) {
		return l.Store.Append(ctx, upload, offset, src)
	}
	o.taken.Store(true)
	size, err := io.CopyBuffer(sink{}, src, make([]byte, 256<<10))
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		o.taken.Store(false)
		_ = os.Remove(l.place(upload)) // nobody may append to it: it is the source's own file
		return 0, err
	}
	return size, nil
}

// sink takes what was read, in the pieces in which it was read.
type sink struct{}

func (sink) Write(p []byte) (int, error) { return len(p), nil }

// link gives an open file another name, and tells whether that went well.
func (l *Links) link(file *os.File, to string) bool {
	open, err := file.Stat()
	if err != nil || !ownAlone(open) || os.Link(file.Name(), to) != nil {
		return false
	}
	if linked, err := os.Lstat(to); err != nil || !os.SameFile(open, linked) {
		_ = os.Remove(to) // what the name leads to now is not what was opened
		return false
	}
	return true
}
