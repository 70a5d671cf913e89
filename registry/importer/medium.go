package importer

import (
	"context"
	"io"
	"io/fs"
	"iter"
)

// Medium is where a distribution registry keeps its data: a folder of this machine, or a bucket. Names in it are paths with slashes between, without a slash
// at either end, and without empty or dotted parts. What is not there is [fs.ErrNotExist].
type Medium interface {
	// List yields what lies right below a place, in no promised order and without holding all of it in memory. An error of one entry ends nothing. A context that
	// is done ends it.
	List(ctx context.Context, place string) iter.Seq2[fs.DirEntry, error]
	// Read returns a file's bytes, and of a longer one the first most of them.
	Read(ctx context.Context, name string, most int64) ([]byte, error)
	// Open opens a file's bytes, and tells how many they are. They can be read until ctx ends.
	Open(ctx context.Context, name string) (content io.ReadCloser, size int64, err error)
	// Close ends the use of the medium.
	Close() error
}
