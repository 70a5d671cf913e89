package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// progress tells how a copy goes: with bars on a terminal, elsewhere with a line for each thing that is done.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	under    []*transfer // under way, in the order of their beginning
	done     int64
	total    int64
	drawn    int // lines of bars on the screen
	stop     chan struct{}
	stopped  bool
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, stop: make(chan struct{})}
	if f, ok := w.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	if p.terminal {
		go p.run()
	}
	return p
}

func (p *progress) run() {
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
			p.mu.Lock()
			if !p.stopped {
				p.draw()
			}
			p.mu.Unlock()
		}
	}
}

// close removes the bars. It may be called more than once.
func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	p.stopped = true
	close(p.stop)
	p.erase()
}

// expect adds to what there is to do.
func (p *progress) expect(blobs []ocispec.Descriptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range blobs {
		p.total += d.Size
	}
}

// note tells of something that was done at once.
func (p *progress) note(what string, d ocispec.Descriptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(what, d)
}

func (p *progress) line(what string, d ocispec.Descriptor) {
	p.erase()
	fmt.Fprintf(p.w, "%s %s %s\n", what, d.Digest, humanSize(d.Size))
	if p.terminal && !p.stopped {
		p.draw()
	}
}

// transfer is one blob under way.
type transfer struct {
	of   *progress
	desc ocispec.Descriptor
	got  int64 // guarded by of.mu
}

func (p *progress) begin(d ocispec.Descriptor) *transfer {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &transfer{of: p, desc: d}
	p.under = append(p.under, t)
	return t
}

// restart forgets what has been read: the transfer begins once more.
func (t *transfer) restart() {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.got = 0
}

// end tells how the transfer went. A failed one is told of by its error, once, at the end.
func (t *transfer) end(outcome string, err error) {
	p := t.of
	p.mu.Lock()
	defer p.mu.Unlock()
	p.under = slices.DeleteFunc(p.under, func(u *transfer) bool { return u == t })
	if err == nil {
		p.done += t.desc.Size
		p.line(outcome, t.desc)
	}
}

// count returns r with what is read from it counted.
func (t *transfer) count(r io.Reader) io.Reader { return counting{r, t} }

type counting struct {
	io.Reader
	t *transfer
}

func (c counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.t.of.mu.Lock()
	c.t.got += int64(n)
	c.t.of.mu.Unlock()
	return n, err
}

// erase takes the bars off the screen, so that a line can be written where they were.
func (p *progress) erase() {
	if p.drawn > 0 {
		fmt.Fprintf(p.w, "\x1b[%dA\x1b[J", p.drawn)
		p.drawn = 0
	}
}

// draw writes a bar for each transfer and one for all. Lines stay below 80 columns: a wrapped one could not be erased.
func (p *progress) draw() {
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", p.drawn)
	}
	got := p.done
	for _, t := range p.under {
		got += t.got
		fmt.Fprintf(&b, "%s %s %10s\n", short(t.desc.Digest), bar(t.got, t.desc.Size), humanSize(t.desc.Size))
	}
	fmt.Fprintf(&b, "%-19s %s %10s\n", "all", bar(got, p.total), humanSize(p.total))
	p.drawn = len(p.under) + 1
	io.WriteString(p.w, b.String())
}

func bar(got, size int64) string {
	const width = 30
	filled := width
	if size > 0 {
		filled = int(min(width, got*width/size))
	}
	return "[" + strings.Repeat("=", filled) + strings.Repeat(" ", width-filled) + "]"
}
