package s3

import (
	"cmp"
	"slices"
	"sync"
)

// growing is an upload as an Append of this process knows it: what lies in the bucket, and what is on its way there. Readers in the same process
// follow it without asking S3 where it stands.
type growing struct {
	mu      sync.Mutex
	pieces  []piece   // in the bucket, in no order
	parcels []*parcel // in memory; their slabs are taken back once they are out of here
	end     int64     // of what was received
}

// look returns where the byte at an offset is: copied into b, if it is in memory, or in a piece. Neither if it is nowhere.
func (g *growing) look(b []byte, at int64) (n int, in *piece) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.parcels {
		if p.start <= at && at < p.end() {
			return p.copyAt(b, at-p.start), nil
		}
	}
	for _, p := range g.pieces {
		if p.start <= at && at < p.end() {
			return 0, &p
		}
	}
	return 0, nil
}

// settle takes a parcel out of memory, and notes the piece that it became, if any.
func (g *growing) settle(p *parcel, became *piece) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.parcels = slices.DeleteFunc(g.parcels, func(other *parcel) bool { return other == p })
	if became != nil {
		g.pieces = append(g.pieces, *became)
	}
}

// upTo returns how far the pieces reach from an offset on without a gap.
func (g *growing) upTo(from int64) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.SortFunc(g.pieces, func(a, b piece) int { return cmp.Compare(a.start, b.start) })
	for _, p := range g.pieces {
		if p.start <= from && from < p.end() {
			from = p.end()
		}
	}
	return from
}

// begin notes that an Append of this process grows an upload.
func (s *Store) begin(name string, g *growing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.growing[name] = g
}

// ended takes the note away.
func (s *Store) ended(name string, g *growing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.growing[name] == g {
		delete(s.growing, name)
	}
}

// follow returns what an Append of this process knows of an upload, and the upload's end; or nil.
func (s *Store) follow(name string) (*growing, int64) {
	s.mu.Lock()
	g := s.growing[name]
	s.mu.Unlock()
	if g == nil {
		return nil, 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g, g.end
}
