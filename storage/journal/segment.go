package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/storage/kv"
)

const (
	// MaxSegmentLines bounds the lines of a segment.
	MaxSegmentLines = 1 << 16
	// MaxSegmentBytes bounds the size of a segment.
	MaxSegmentBytes = 64 << 20
)

// ErrSegment says that bytes are not a segment, or that lines cannot be made one.
var ErrSegment = errors.New("invalid journal segment")

// Export returns the sealed lines from ≤ seq < to as a segment: content that can be stored and, should the index be lost, read back. It is
// text; a header line says what follows, and what it follows:
//
//	{"entrepotJournal":1,"from":1,"to":3,"prev":"<64 hex digits>"}
//	{"seq":1,…}
//	{"seq":2,…}
//
// Each line, the header too, ends with a line feed. ErrSegment if there are no such lines, if they are too many, or if their chain is broken.
func (j *Journal) Export(ctx context.Context, from, to uint64) ([]byte, error) {
	if from == 0 || from >= to || to-from > MaxSegmentLines {
		return nil, fmt.Errorf("%w: lines from %d to %d", ErrSegment, from, to)
	}
	var out bytes.Buffer
	for p, err := range j.db.Scan(ctx, logKey(from), logKey(to)) {
		if err != nil {
			return nil, fmt.Errorf("export journal: %w", err)
		}
		if out.Len() == 0 {
			first, err := parseLine(string(p.Value))
			if err != nil {
				return nil, fmt.Errorf("%w: line %d: %w", ErrSegment, from, err)
			}
			out.WriteString(header(from, to, first.Prev))
		}
		if out.Len()+len(p.Value) >= MaxSegmentBytes {
			return nil, fmt.Errorf("%w: lines from %d to %d have more than %d bytes", ErrSegment, from, to, MaxSegmentBytes)
		}
		out.Write(p.Value)
		out.WriteByte('\n')
	}
	if _, err := ParseSegment(out.Bytes()); err != nil { // what cannot be read back is worse than no segment
		return nil, err
	}
	return out.Bytes(), nil
}

func header(from, to uint64, prev string) string {
	return fmt.Sprintf(`{"entrepotJournal":1,"from":%d,"to":%d,"prev":"%s"}`+"\n", from, to, prev)
}

// ParseSegment reads a segment and verifies the chain within it. Whether the segment follows another is for the caller to see: its first line's
// Prev is the Hash of the other's last. Anything but what Export wrote is ErrSegment, with the reason.
func ParseSegment(data []byte) ([]Line, error) {
	if len(data) > MaxSegmentBytes {
		return nil, fmt.Errorf("%w: %d bytes, not more than %d are allowed", ErrSegment, len(data), MaxSegmentBytes)
	}
	first, rest, _ := strings.Cut(string(data), "\n")
	var from, to uint64
	var prev string
	if _, err := fmt.Sscanf(first, `{"entrepotJournal":1,"from":%d,"to":%d,"prev":%q`, &from, &to, &prev); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrSegment, err)
	}
	if header(from, to, prev) != first+"\n" || !isHash(prev) || from == 0 || from >= to || to-from > MaxSegmentLines || from == 1 && prev != genesis {
		return nil, fmt.Errorf("%w: header %.200q", ErrSegment, first)
	}
	if count := strings.Count(rest, "\n"); uint64(count) != to-from || !strings.HasSuffix(rest, "\n") {
		return nil, fmt.Errorf("%w: %d whole lines, the header promises %d", ErrSegment, count, to-from)
	}
	lines := make([]Line, 0, to-from)
	r := Report{Lines: from - 1, Hash: prev}
	for text := range strings.Lines(rest) {
		lines = append(lines, r.link(strings.TrimSuffix(text, "\n")))
		if !r.Sound() {
			return nil, fmt.Errorf("%w: %s: %s", ErrSegment, r.Fault, r.Detail)
		}
	}
	return lines, nil
}

// Restore appends lines that ParseSegment returned to a journal that lost them. They must follow its last sealed line; those that it has
// already are passed over if they are the same. ErrSegment if the lines do not fit; what came before the one that does not is kept.
func (j *Journal) Restore(ctx context.Context, lines []Line) error {
	for some := range slices.Chunk(lines, maxSeal) {
		if err := j.db.Update(ctx, func(tx kv.Tx) error { return restore(ctx, tx, some) }); err != nil {
			return fmt.Errorf("restore journal from line %d: %w", some[0].Seq, err)
		}
	}
	return nil
}

func restore(ctx context.Context, tx kv.Tx, lines []Line) error {
	last, err := readHead(ctx, tx)
	if err != nil {
		return err
	}
	if err := last.isLast(ctx, tx); err != nil {
		return err
	}
	for _, line := range lines {
		if line.Seq <= last.Seq {
			if kept, err := tx.Get(ctx, logKey(line.Seq)); err != nil || string(kept) != line.Text() {
				return fmt.Errorf("%w: line %d is another one here", errors.Join(ErrSegment, err), line.Seq)
			}
			continue
		}
		if line.Seq != last.Seq+1 || line.Prev != last.Hash || line.Hash != line.sum() {
			return fmt.Errorf("%w: line %d does not follow line %d", ErrSegment, line.Seq, last.Seq)
		}
		tx.Put(logKey(line.Seq), []byte(line.Text()))
		last = head{line.Seq, line.Hash}
	}
	last.write(tx)
	return nil
}
