package s3

import "time"

// piece is one write of an upload: drop what lies at start and beyond, and put this there.
type piece struct {
	key      string
	number   int64 // of the write; later ones are greater
	start    int64
	size     int64  // how much of it counts: all, unless a later write cut it
	whole    int64  // the size of the object
	crc      uint32 // CRC32C of the object's bytes
	etag     string
	modified time.Time
}

func (p piece) end() int64 { return p.start + p.size }

// state is what an upload holds.
type state struct {
	known    bool
	pieces   []piece // none is empty, and each begins where the one before ends
	all      []piece // every write that was found, in order
	last     int64   // the greatest number
	modified time.Time
	dirty    bool // there are writes that do not count: they were overtaken, or what they should follow is not there
}

// size returns the upload's length in bytes.
func (u *state) size() int64 {
	if len(u.pieces) == 0 {
		return 0
	}
	return u.pieces[len(u.pieces)-1].end()
}

// replay plays writes in their order. One that begins beyond the end does not count: what it should follow failed, or is still on its way.
// One in whose middle a later write begins counts up to there; its object stays as it is.
func replay(writes []piece) *state {
	u := &state{all: writes}
	for _, w := range writes {
		u.last = max(u.last, w.number)
		if w.modified.After(u.modified) {
			u.modified = w.modified
		}
		if w.start > u.size() {
			u.dirty = true
			continue
		}
		if w.start == 0 {
			u.known = true
		}
		u.cut(w.start)
		if w.size > 0 {
			u.pieces = append(u.pieces, w)
		}
	}
	return u
}

// cut drops what lies at offset and beyond.
func (u *state) cut(offset int64) {
	for n := len(u.pieces); n > 0 && u.pieces[n-1].end() > offset; n = len(u.pieces) {
		u.dirty = true
		last := &u.pieces[n-1]
		if last.start < offset {
			last.size = offset - last.start
			return
		}
		u.pieces = u.pieces[:n-1]
	}
}

// overtaken returns the writes that a later one has made void: it begins at or before them, so that without them the upload is the same.
func (u *state) overtaken() []piece {
	var void []piece
	lowest := int64(-1) // where the later writes begin
	for i := len(u.all) - 1; i >= 0; i-- {
		w := u.all[i]
		if lowest >= 0 && lowest <= w.start {
			void = append(void, w)
			continue
		}
		if lowest < 0 || w.start < lowest {
			lowest = w.start
		}
	}
	return void
}
