package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/entrepot/entrepot/storage/kv"
)

// Fault is a way in which the chain is broken.
type Fault string

// The faults that Verify tells apart.
const (
	Altered   Fault = "altered"   // a line does not have the hash, or the form, that it should have
	Reordered Fault = "reordered" // a line lies in another one's place
	Removed   Fault = "removed"   // lines are missing before others
	Replaced  Fault = "replaced"  // a line is sound in itself, but does not follow the one before it
	Truncated Fault = "truncated" // lines are missing at the end: the head knows of them
	HeadWrong Fault = "head"      // the head is not that of the last line
)

// Report is what Verify found.
type Report struct {
	Lines uint64 // sealed lines that were checked and found good
	Hash  string // of the last good one. Compare it with one noted elsewhere: whoever can rewrite the whole chain can hide from Verify alone

	Fault  Fault  // "" if all is well
	Seq    uint64 // the first line at fault
	Detail string // the fault in words
}

// Sound tells whether nothing is wrong.
func (r Report) Sound() bool { return r.Fault == "" }

func (r *Report) broken(fault Fault, seq uint64, format string, args ...any) {
	r.Fault, r.Seq, r.Detail = fault, seq, fmt.Sprintf(format, args...)
}

// Verify recomputes the whole chain and reports the first line at fault. Events may be appended and sealed while it runs. The error is of
// reading the database; what is wrong with the journal is in the report.
func (j *Journal) Verify(ctx context.Context) (Report, error) {
	r := Report{Hash: genesis}
	began, err := readHead(ctx, j.db)
	if err != nil {
		return r.unreadable(err)
	}
	from, to := kv.Prefix(logPrefix)
	for p, err := range j.db.Scan(ctx, from, to) {
		if err != nil {
			return r, fmt.Errorf("verify journal: %w", err)
		}
		if r.place(p.Key); r.Sound() {
			r.link(string(p.Value))
		}
		if r.Sound() && r.Lines == began.Seq && r.Hash != began.Hash {
			r.broken(HeadWrong, r.Lines, "head has hash %s, line %d has %s", began.Hash, r.Lines, r.Hash)
		}
		if !r.Sound() {
			return r, nil
		}
	}
	ended, err := readHead(ctx, j.db)
	switch {
	case err != nil:
		return r.unreadable(err)
	case r.Lines < began.Seq:
		r.broken(Truncated, r.Lines+1, "head is at line %d, the last line is %d", began.Seq, r.Lines)
	case r.Lines > ended.Seq:
		r.broken(HeadWrong, ended.Seq, "head is at line %d, the last line is %d", ended.Seq, r.Lines)
	}
	return r, nil
}

// unreadable tells a head that says nothing from a database that does not answer.
func (r Report) unreadable(err error) (Report, error) {
	if errors.Is(err, errHead) {
		r.broken(HeadWrong, 0, "%v", err)
		return r, nil
	}
	return r, fmt.Errorf("verify journal: %w", err)
}

// place checks that key is that of the next line.
func (r *Report) place(key string) {
	seq := r.Lines + 1
	if key == logKey(seq) {
		return
	}
	found, err := strconv.ParseUint(strings.TrimPrefix(key, logPrefix), 16, 64)
	if err != nil || key != logKey(found) || found < seq {
		r.broken(Altered, seq, "key %q is not that of a line", key)
		return
	}
	r.broken(Removed, seq, "lines %d to %d are missing", seq, found-1)
}

// link checks that text is the next line, and counts it.
func (r *Report) link(text string) Line {
	seq := r.Lines + 1
	line, err := parseLine(text)
	switch {
	case err != nil:
		r.broken(Altered, seq, "line %d: %v", seq, err)
	case line.sum() != line.Hash:
		r.broken(Altered, seq, "line %d has hash %s, its content gives %s", seq, line.Hash, line.sum())
	case line.Seq != seq:
		r.broken(Reordered, seq, "line %d lies in the place of line %d", line.Seq, seq)
	case line.Prev != r.Hash:
		r.broken(Replaced, seq, "line %d follows hash %s, line %d has %s", seq, line.Prev, seq-1, r.Hash)
	default:
		r.Lines, r.Hash = seq, line.Hash
	}
	return line
}
