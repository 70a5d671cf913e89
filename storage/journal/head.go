package journal

import (
	"bytes"
	"context"
)

// Head returns the number of the last sealed line, 0 if there is none.
func (j *Journal) Head(ctx context.Context) (uint64, error) {
	h, err := readHead(ctx, j.db)
	return h.Seq, err
}

// IsSegment tells by how content begins (64 bytes are enough) whether it may be a segment.
func IsSegment(begin []byte) bool {
	return bytes.HasPrefix(begin, []byte(`{"entrepotJournal":1,"from":`))
}
