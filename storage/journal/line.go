package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// genesis is what the first line follows.
var genesis = strings.Repeat("0", 2*sha256.Size)

// Line is an event in its place. Once sealed it is kept as one line of JSON, of exactly this form, without spaces:
//
//	{"seq":7,"prev":"<64 hex digits>","hash":"<64 hex digits>","event":{…}}
//
// seq counts from 1, prev is the hash of the line before (64 zeros in the first), and hash is the SHA-256, in lower-case hex, of three
// things joined by single spaces: prev, seq in decimal, and the bytes of the event exactly as they stand in the line, braces included.
// So an auditor needs nothing of ours to recompute it:
//
//	event=$(sed 's/^[^{]*{[^{]*"event"://; s/}$//' line)
//	printf '%s %s %s' "$prev" "$seq" "$event" | sha256sum
type Line struct {
	Seq   uint64 // 0 as long as the event is not sealed
	Prev  string // the hash of the line before
	Hash  string
	Event Event

	event string // as it stands in the line; Event need not know all its fields
}

// Text returns the sealed line in the form in which it is kept, without a line feed.
func (l Line) Text() string {
	return `{"seq":` + strconv.FormatUint(l.Seq, 10) + `,"prev":"` + l.Prev + `","hash":"` + l.Hash + `","event":` + l.event + `}`
}

// sum returns the hash that the line should have.
func (l Line) sum() string {
	sum := sha256.Sum256([]byte(l.Prev + " " + strconv.FormatUint(l.Seq, 10) + " " + l.event))
	return hex.EncodeToString(sum[:])
}

var errLine = errors.New("not in the form of a journal line")

// parseLine reads what Text returns, and nothing else. It does not look at the hashes.
func parseLine(text string) (l Line, err error) {
	rest, ok1 := strings.CutPrefix(text, `{"seq":`)
	seq, rest, ok2 := strings.Cut(rest, `,"prev":"`)
	prev, rest, ok3 := strings.Cut(rest, `","hash":"`)
	hash, rest, ok4 := strings.Cut(rest, `","event":`)
	event, ok5 := strings.CutSuffix(rest, `}`)
	if !(ok1 && ok2 && ok3 && ok4 && ok5) || !isHash(prev) || !isHash(hash) || strings.Contains(event, "\n") {
		return Line{}, errLine
	}
	l = Line{Prev: prev, Hash: hash, event: event}
	if l.Seq, err = strconv.ParseUint(seq, 10, 64); err != nil || l.Seq == 0 || strconv.FormatUint(l.Seq, 10) != seq {
		return Line{}, errLine
	}
	if !strings.HasPrefix(event, "{") {
		return Line{}, errLine
	}
	if err := json.Unmarshal([]byte(event), &l.Event); err != nil {
		return Line{}, errors.Join(errLine, err)
	}
	return l, nil
}

func isHash(s string) bool {
	return len(s) == len(genesis) && strings.Trim(s, "0123456789abcdef") == ""
}
