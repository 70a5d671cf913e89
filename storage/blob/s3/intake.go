package s3

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"
)

// patience is how long a parcel that does not grow may keep memory for which others wait.
const patience = time.Second

// buffers holds pairs: an Append reads into one while its source may still be hashing the other.
var buffers = sync.Pool{New: func() any { return new([2]slab) }}

// intake takes bytes into memory and sends them on in parcels.
type intake struct {
	*growing // what readers of this process may see
	s        *Store
	deliver  func(p *parcel, number int64) (piece, error)
	least    int64 // what a parcel must have, unless it is the last; it begins with as much memory
	tail     *piece

	slots   chan struct{} // one for every parcel there is
	sending sync.WaitGroup
	stop    chan struct{} // ends relieve

	// Under growing.mu.
	current *parcel // the one that grows
	number  int64   // of the last parcel that was sent
	writes  []piece // what became of them
	failed  error   // the first failure
	halted  bool    // relieve is to send nothing any more
}

func (s *Store) newIntake(g *growing, least int64) intake {
	return intake{growing: g, s: s, least: least, slots: make(chan struct{}, s.cfg.Parallel), stop: make(chan struct{})}
}

// receive reads src to its end, into memory and on to S3. An error of src comes back apart from those of the medium.
func (in *intake) receive(ctx context.Context, src io.Reader) (srcErr, err error) {
	pair := buffers.Get().(*[2]slab)
	for turn := 0; ; turn ^= 1 {
		if err := firstOf(ctx.Err(), in.failure()); err != nil {
			return nil, err
		}
		var n int
		n, srcErr = src.Read(pair[turn][:])
		if err := in.put(ctx, pair[turn][:n]); err != nil {
			return nil, err
		}
		if srcErr != nil {
			// Only now, never on the returns above: a source that was not read to its end may still be looking at its last bytes, and the next
			// Append must not write over them.
			buffers.Put(pair)
			if srcErr == io.EOF {
				srcErr = nil
			}
			return srcErr, nil
		}
	}
}

// put takes b in. It waits while there is no room in memory, or enough is on its way.
func (in *intake) put(ctx context.Context, b []byte) error {
	for len(b) > 0 {
		n, want := in.add(b)
		if b = b[n:]; want == 0 {
			continue
		}
		if err := in.grow(ctx, want); err != nil {
			return err
		}
	}
	return nil
}

// add puts what there is room for of b into the current parcel. If that is nothing it makes room, or returns how many slabs to wait for.
func (in *intake) add(b []byte) (n int, want int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	p := in.current
	if p == nil {
		return 0, 1
	}
	if n = p.add(b); n > 0 {
		in.end += int64(n)
		return n, 0
	}
	if p.size >= in.s.cfg.PartSize {
		in.send()
		return 0, 1
	}
	if more := in.s.memory.tryTake(1); more != nil {
		p.slabs = append(p.slabs, more...)
		return 0, 0
	}
	if p.size >= minPart { // memory is short, and this may go as it is
		in.send()
		return 0, 1
	}
	return 0, slabsFor(minPart) - int64(len(p.slabs))
}

// grow waits for memory, and gives it to the current parcel or begins one with it.
func (in *intake) grow(ctx context.Context, want int64) error {
	in.mu.Lock()
	waiting := in.current
	in.mu.Unlock()
	if waiting == nil {
		return in.beginParcel(ctx)
	}
	slabs, err := in.s.memory.take(ctx, want)
	if err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.current != waiting { // it was sent away meanwhile
		in.s.memory.giveBack(slabs)
		return nil
	}
	waiting.slabs = append(waiting.slabs, slabs...)
	return nil
}

// beginParcel begins a parcel at the end of what was received.
func (in *intake) beginParcel(ctx context.Context) error {
	select {
	case in.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	p, err := in.takeTail(ctx)
	if p == nil && err == nil {
		p, err = in.newParcel(ctx, in.end, in.least) // end changes in this goroutine only
	}
	if err != nil {
		<-in.slots
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.pieces = slices.DeleteFunc(in.pieces, func(taken piece) bool { return taken.start >= p.start })
	in.current = p
	in.parcels = append(in.parcels, p)
	return nil
}

func (in *intake) newParcel(ctx context.Context, start, size int64) (*parcel, error) {
	slabs, err := in.s.memory.take(ctx, slabsFor(size))
	if err != nil {
		return nil, err
	}
	return &parcel{start: start, slabs: slabs}, nil
}

// takeTail returns a parcel with the bytes of the last piece, if an earlier Append left that too short to be a part; else nil. If they cannot be read, the
// piece stays as it is, and Commit has a little more to do.
func (in *intake) takeTail(ctx context.Context) (*parcel, error) {
	if in.tail == nil {
		return nil, nil
	}
	tail := in.tail
	in.tail = nil
	p, err := in.newParcel(ctx, tail.start, tail.size+1)
	if err != nil {
		return nil, err
	}
	if err := in.s.load(ctx, p, span{tail, 0, tail.size}); err != nil {
		in.s.memory.giveBack(p.slabs)
		in.s.log.Debug("the short last piece of an upload was not taken up in the next one", "piece", tail.key, "err", err)
		return nil, nil
	}
	return p, nil
}

// send lets the current parcel go. Under mu.
func (in *intake) send() {
	p := in.current
	in.current = nil
	in.number++
	number := in.number
	in.sending.Go(func() {
		became, err := in.deliver(p, number)
		in.sent(p, became, err)
		in.s.memory.giveBack(p.slabs)
		<-in.slots
	})
}

// sent notes how sending a parcel ended. A write that failed may still be carried out later: it stays on the list.
func (in *intake) sent(p *parcel, became piece, err error) {
	if err != nil {
		in.settle(p, nil)
		in.mu.Lock()
		defer in.mu.Unlock()
		in.failed = firstOf(in.failed, err)
		return
	}
	in.settle(p, &became)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.writes = append(in.writes, became)
}

// relieve sends away what does not grow while others wait for memory: the source may be slow, or waits for memory itself.
func (in *intake) relieve() {
	tick := time.NewTicker(patience)
	defer tick.Stop()
	var seen int64
	for {
		select {
		case <-in.stop:
			return
		case <-tick.C:
		}
		in.mu.Lock()
		if !in.halted && in.end == seen && in.current != nil && in.current.size >= in.least && in.s.memory.short() {
			in.send()
		}
		seen = in.end
		in.mu.Unlock()
	}
}

// halt ends relieve.
func (in *intake) halt() {
	in.mu.Lock()
	in.halted = true
	in.mu.Unlock()
	close(in.stop)
}

func (in *intake) failure() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.failed
}

// sendLast sends what is left. After a failure it would not be counted, and is dropped.
func (in *intake) sendLast() {
	if in.failure() != nil {
		in.drop()
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.current != nil {
		in.send()
	}
}

// drop forgets the current parcel.
func (in *intake) drop() {
	in.mu.Lock()
	defer in.mu.Unlock()
	p := in.current
	if p == nil {
		return
	}
	in.current = nil
	in.parcels = slices.DeleteFunc(in.parcels, func(other *parcel) bool { return other == p })
	in.s.memory.giveBack(p.slabs)
	<-in.slots
}
