package journal

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/storage/kv"
)

// exported returns a journal of 20 lines and the segment of those from ≤ seq < to.
func exported(t testing.TB, from, to uint64) (*Journal, string) {
	t.Helper()
	db := kv.NewMemory()
	j := New(db)
	happen(t, db, 20)
	seal(t, j)
	data, err := j.Export(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	return j, string(data)
}

func TestSegment(t *testing.T) {
	j, data := exported(t, 1, 21)
	lines, err := ParseSegment([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range tail(t, j, 0, 0) {
		if lines[i] != line {
			t.Errorf("line %d is %+v, was %+v", i, lines[i], line)
		}
	}
	if first, _, _ := strings.Cut(data, "\n"); first != `{"entrepotJournal":1,"from":1,"to":21,"prev":"`+genesis+`"}` {
		t.Errorf("header is %s", first)
	}
	one, err := j.Export(t.Context(), 7, 8)
	if err != nil {
		t.Fatal(err)
	}
	if lines, err := ParseSegment(one); err != nil || len(lines) != 1 || lines[0].Seq != 7 || lines[0].Event.Tag != "v6" {
		t.Errorf("segment of one line: %+v, %v", lines, err)
	}
	for _, bounds := range [][2]uint64{{0, 5}, {5, 5}, {6, 5}, {1, 22}, {21, 22}, {1, 2 + MaxSegmentLines}, {1, 1 << 63}} {
		if data, err := j.Export(t.Context(), bounds[0], bounds[1]); !errors.Is(err, ErrSegment) {
			t.Errorf("export of %v: %d bytes, %v", bounds, len(data), err)
		}
	}
}

func TestSegmentOfBrokenChain(t *testing.T) {
	j, _ := exported(t, 1, 21)
	tamper(t, j.db, func(get func(uint64) string, tx kv.Tx) {
		tx.Put(logKey(5), []byte(strings.Replace(get(5), "alice", "carol", 1)))
	})
	if _, err := j.Export(t.Context(), 1, 21); !errors.Is(err, ErrSegment) || !strings.Contains(err.Error(), "altered: line 5") {
		t.Errorf("export: %v", err)
	}
	if _, err := j.Export(t.Context(), 6, 21); err != nil {
		t.Errorf("export behind the fault: %v", err)
	}
}

func TestSpoiltSegment(t *testing.T) {
	_, data := exported(t, 3, 9)
	lines := strings.SplitAfter(data, "\n")
	join := func(parts ...string) string { return strings.Join(parts, "") }
	for name, spoilt := range map[string]string{
		"empty":               "",
		"a line feed":         "\n",
		"header only":         lines[0],
		"no header":           join(lines[1:]...),
		"no last line feed":   strings.TrimSuffix(data, "\n"),
		"last line missing":   join(lines[:6]...),
		"first line missing":  lines[0] + join(lines[2:]...),
		"line missing":        join(lines[:3]...) + join(lines[4:]...),
		"line twice":          join(lines[:3]...) + lines[2] + join(lines[4:]...),
		"line too many":       data + lines[6],
		"empty line at end":   data + "\n",
		"lines swapped":       join(lines[0], lines[2], lines[1]) + join(lines[3:]...),
		"event altered":       strings.Replace(data, "alice", "carol", 1),
		"carriage returns":    strings.ReplaceAll(data, "\n", "\r\n"),
		"space in a line":     strings.Replace(data, `,"prev":`, `, "prev":`, 3),
		"other version":       strings.Replace(data, `Journal":1`, `Journal":2`, 1),
		"header with a space": strings.Replace(data, `"from":3`, `"from": 3`, 1),
		"header with a zero":  strings.Replace(data, `"from":3`, `"from":03`, 1),
		"header with more":    strings.Replace(data, `"from":3`, `"from":3,"x":1`, 1),
		"other bounds":        strings.Replace(data, `"from":3,"to":9`, `"from":4,"to":10`, 1),
		"from 0":              strings.Replace(data, `"from":3,"to":9`, `"from":0,"to":6`, 1),
		"huge":                strings.Replace(data, `"to":9`, `"to":18446744073709551615`, 1),
		"negative":            strings.Replace(data, `"from":3`, `"from":-3`, 1),
		"other prev":          strings.Replace(data, `"prev":"`, `"prev":"`+strings.Repeat("a", 64)+`","x":"`, 1),
		"short prev":          strings.Replace(data, `"prev":"`+data[strings.Index(data, `"prev":"`)+8:][:4], `"prev":"`, 1),
		"upper-case hash":     strings.ToUpper(data),
		"beginning at 1 not at genesis": strings.Replace(strings.Replace(data, `"from":3,"to":9`, `"from":1,"to":7`, 1),
			`{"seq":3`, `{"seq":1`, 1),
	} {
		if spoilt == data {
			t.Errorf("%s: nothing is spoilt", name)
		}
		if lines, err := ParseSegment([]byte(spoilt)); !errors.Is(err, ErrSegment) || lines != nil {
			t.Errorf("%s: %d lines, %v", name, len(lines), err)
		}
	}
	if _, err := ParseSegment(make([]byte, MaxSegmentBytes+1)); !errors.Is(err, ErrSegment) {
		t.Errorf("too large: %v", err)
	}
}

func TestRestore(t *testing.T) {
	old, data := exported(t, 1, 13)
	rest, err := old.Export(t.Context(), 11, 21)
	if err != nil {
		t.Fatal(err)
	}
	first, err1 := ParseSegment([]byte(data))
	second, err2 := ParseSegment(rest)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	db := kv.NewMemory()
	j := New(db)
	if err := j.Restore(t.Context(), second); !errors.Is(err, ErrSegment) {
		t.Errorf("restore with a gap: %v", err)
	}
	sound(t, j, 0)
	for _, lines := range [][]Line{first, first, second, first, nil} { // the second overlaps the first
		if err := j.Restore(t.Context(), lines); err != nil {
			t.Errorf("restore: %v", err)
		}
	}
	sound(t, j, 20)
	happen(t, db, 5)
	seal(t, j)
	sound(t, j, 25)
	if got, want := fmt.Sprint(tail(t, j, 0, 20)), fmt.Sprint(tail(t, old, 0, 0)); got != want {
		t.Errorf("restored %s\nfrom %s", got, want)
	}

	other, _ := exported(t, 1, 2)
	if err := other.Restore(t.Context(), first); !errors.Is(err, ErrSegment) {
		t.Errorf("restore over another journal: %v", err)
	}
	sound(t, other, 20)
}

func FuzzParseSegment(f *testing.F) {
	_, data := exported(f, 1, 4)
	f.Add([]byte(data))
	_, data = exported(f, 5, 6)
	f.Add([]byte(data))
	f.Add([]byte(header(1, 2, genesis) + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := ParseSegment(data)
		if err != nil {
			if !errors.Is(err, ErrSegment) || lines != nil {
				t.Errorf("%d lines, %v", len(lines), err)
			}
			return
		}
		// What was accepted is exactly what its lines give back.
		var again strings.Builder
		again.WriteString(header(lines[0].Seq, lines[len(lines)-1].Seq+1, lines[0].Prev))
		for _, line := range lines {
			again.WriteString(line.Text() + "\n")
		}
		if again.String() != string(data) {
			t.Errorf("%q was read as %q", data, again.String())
		}
	})
}
