package s3

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestReplay_plays_writes_in_their_order(t *testing.T) {
	for _, c := range []struct {
		what   string
		writes []piece
		known  bool
		spans  [][2]int64 // start and end of what counts
		dirty  bool
	}{
		{"nothing", nil, false, nil, false},
		{"a beginning without bytes", []piece{write(1, 0, 0)}, true, nil, false},
		{"three in a row", []piece{write(1, 0, 10), write(2, 10, 5), write(3, 15, 1)}, true, [][2]int64{{0, 10}, {10, 15}, {15, 16}}, false},
		{"a tail that was taken up", []piece{write(1, 0, 10), write(2, 10, 5), write(3, 10, 9)}, true, [][2]int64{{0, 10}, {10, 19}}, true},
		{"a cut in the middle", []piece{write(1, 0, 10), write(2, 10, 10), write(3, 4, 2)}, true, [][2]int64{{0, 4}, {4, 6}}, true},
		{"a cut to nothing", []piece{write(1, 0, 10), write(2, 0, 0)}, true, nil, true},
		{"one that has not arrived", []piece{write(1, 0, 10), write(3, 20, 10)}, true, [][2]int64{{0, 10}}, true},
		{"one that arrived late, after a fence", []piece{write(1, 0, 10), write(2, 10, 10), write(3, 10, 0)}, true, [][2]int64{{0, 10}}, true},
		{"one that arrived late, after another in its place", []piece{write(1, 0, 10), write(2, 10, 90), write(3, 20, 90), write(4, 10, 3)}, true, [][2]int64{{0, 10}, {10, 13}}, true},
		{"what an abort left", []piece{write(3, 20, 10)}, false, nil, true},
	} {
		u := replay(c.writes)
		var spans [][2]int64
		for _, p := range u.pieces {
			spans = append(spans, [2]int64{p.start, p.end()})
		}
		if u.known != c.known || u.dirty != c.dirty || !slices.Equal(spans, c.spans) {
			t.Errorf("%s: known %v, dirty %v, %v; want %v, %v, %v", c.what, u.known, u.dirty, spans, c.known, c.dirty, c.spans)
		}
	}
}

func write(number, start, size int64) piece {
	return piece{number: number, start: start, size: size, whole: size}
}

// TestReplay_is_the_same_without_what_was_overtaken plays random writes, lets any of the overtaken ones be deleted, or not have arrived, and
// compares what is left.
func TestReplay_is_the_same_without_what_was_overtaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		writes := someWrites(t)
		want := replay(writes).pieces
		left := slices.Clone(writes)
		for _, void := range replay(writes).overtaken() {
			if rapid.Bool().Draw(t, "deleted") {
				left = slices.DeleteFunc(left, func(w piece) bool { return w.number == void.number })
			}
		}
		if got := replay(left).pieces; !slices.Equal(got, want) {
			t.Fatalf("%v became %v", want, got)
		}
	})
}

// TestReplay_does_what_the_writes_say compares with bytes that are cut and appended.
func TestReplay_does_what_the_writes_say(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		writes := someWrites(t)
		var want []byte
		for _, w := range writes {
			if w.start <= int64(len(want)) {
				want = append(want[:w.start:w.start], bytes.Repeat([]byte{byte(w.number)}, int(w.size))...)
			}
		}
		var got []byte
		for _, p := range replay(writes).pieces {
			if p.start != int64(len(got)) || p.size < 1 || p.size > p.whole {
				t.Fatalf("piece %+v after %d bytes", p, len(got))
			}
			got = append(got, bytes.Repeat([]byte{byte(p.number)}, int(p.size))...)
		}
		if !bytes.Equal(got, want) || replay(writes).size() != int64(len(want)) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func someWrites(t *rapid.T) []piece {
	writes := make([]piece, rapid.IntRange(0, 8).Draw(t, "writes"))
	for i := range writes {
		writes[i] = write(int64(i+1), rapid.Int64Range(0, 12).Draw(t, "start"), rapid.Int64Range(0, 5).Draw(t, "size"))
	}
	return writes
}

func TestPlan_makes_parts_that_S3_takes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(1, minPart/4), rapid.Int64Range(minPart-2, minPart+2), rapid.Int64Range(1, 4*minPart)), 0, 12).Draw(t, "sizes")
		var pieces []piece
		var size int64
		for i, n := range sizes {
			pieces = append(pieces, write(int64(i), size, n))
			size += n
		}
		parts := plan(pieces)
		var at int64
		for i, p := range parts {
			if i < len(parts)-1 && p.size() < minPart {
				t.Fatalf("part %d of %d has %d bytes", i, len(parts), p.size())
			}
			if !p.copied() && p.size() >= 3*minPart {
				t.Fatalf("part %d has to be read and has %d bytes", i, p.size())
			}
			for _, r := range p {
				if r.of.start+r.from != at || r.size() < 1 || r.to > r.of.size {
					t.Fatalf("part %d goes on at %d with %+v, want %d", i, r.of.start+r.from, r, at)
				}
				at += r.size()
			}
		}
		if at != size || len(parts) == 0 {
			t.Fatalf("%d parts hold %d bytes, want %d", len(parts), at, size)
		}
	})
}
