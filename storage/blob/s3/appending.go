package s3

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// appending is one Append on its way.
type appending struct {
	intake
	ctx    context.Context // of what is sent: it does not end with the caller's
	name   string
	offset int64 // where the Append began
	must   bool  // a write is needed even if nothing comes: to begin the upload, or to drop what lay beyond
}

func (s *Store) newAppending(ctx context.Context, name string, offset int64, u *state) *appending {
	must := !u.known || u.dirty || offset < u.size()
	u.cut(offset)
	g := &growing{pieces: u.pieces, end: offset}
	a := &appending{intake: s.newIntake(g, 1), ctx: context.WithoutCancel(ctx), name: name, offset: offset, must: must}
	if last := len(u.pieces) - 1; last >= 0 && u.pieces[last].size < minPart {
		tail := u.pieces[last]
		a.tail = &tail
	}
	a.number, a.writes = max(u.last, s.now().UnixMicro()), u.all
	a.deliver = func(p *parcel, number int64) (piece, error) { return s.putPiece(a.ctx, name, p, number) }
	s.begin(name, g)
	go a.relieve()
	return a
}

// finish sends the rest, waits for all that is on its way, and returns how far the upload counts, with the first error.
func (a *appending) finish() (int64, error) {
	a.halt()
	a.sendLast()
	a.sending.Wait()
	size := a.upTo(a.offset)
	if a.failed != nil || size == a.offset && a.must {
		a.fence(size)
	}
	a.s.ended(a.name, a.growing)
	a.tidy()
	return size, a.failed
}

// fence writes that the upload ends at size, whatever else comes in late or was there before.
func (a *appending) fence(size int64) {
	ctx, cancel := a.s.detached(a.ctx)
	defer cancel()
	a.number++
	written, err := a.s.putPiece(ctx, a.name, &parcel{start: size}, a.number)
	if err == nil {
		a.writes = append(a.writes, written)
		return
	}
	a.failed = firstOf(a.failed, err)
}

// tidy removes pieces that others have taken the place of. What it fails to remove is removed with the upload.
func (a *appending) tidy() {
	slices.SortFunc(a.writes, func(x, y piece) int { return cmp.Compare(x.number, y.number) })
	void := (&state{all: a.writes}).overtaken()
	if len(void) == 0 {
		return
	}
	ctx, cancel := a.s.detached(a.ctx)
	defer cancel()
	keys := make([]string, len(void))
	for i, p := range void {
		keys[i] = p.key
	}
	if err := a.s.remove(ctx, keys); err != nil {
		a.s.log.Debug("overtaken pieces of an upload stay for now", "upload", a.name, "err", fmt.Errorf("tidy: %w", err))
	}
}
