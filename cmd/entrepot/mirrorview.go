package main

import (
	"fmt"
	"io"
	"time"

	"github.com/entrepot/entrepot/registry/upstream/mirror"
)

// mirrorView tells how far a run is: with a bar on a terminal, elsewhere with a line for each tag that is done, and now and then if that takes long.
type mirrorView struct {
	*progress
	last mirror.Progress
	told time.Time
}

// mirrorTells is how long a line without a terminal may be waited for.
const mirrorTells = 10 * time.Second

func newMirrorView(w io.Writer) *mirrorView {
	p := newProgress(w)
	p.close() // nothing is drawn but when there is news
	return &mirrorView{progress: p}
}

func (v *mirrorView) show(p mirror.Progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.terminal {
		v.erase()
		fmt.Fprintf(v.w, "%s\n%s %s %10s\n", cutTo(mirrorSteps(p), 79), "all", bar(p.Bytes.Done, p.Bytes.Known), humanSize(p.Bytes.Known))
		v.drawn = 2
		return
	}
	if p.Tags.Known == 0 && !p.Resting {
		return // it has only begun, or ended at once
	}
	news := p.Tags.Done != v.last.Tags.Done || p.Failed != v.last.Failed || p.Resting != v.last.Resting
	if v.told.IsZero() || news || time.Since(v.told) >= mirrorTells && p != v.last {
		fmt.Fprintf(v.w, "%s: %s\n", printable(p.Repository), mirrorSteps(p))
		v.told, v.last = time.Now(), p
	}
}

// close takes away what was drawn.
func (v *mirrorView) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.erase()
}

// mirrorSteps says how far a run is, in a line.
func mirrorSteps(p mirror.Progress) string {
	text := fmt.Sprintf("%d of %d tags, %d of %d blobs, %s of %s", p.Tags.Done, p.Tags.Known, p.Blobs.Done, p.Blobs.Known, humanSize(p.Bytes.Done), humanSize(p.Bytes.Known))
	if p.Failed > 0 {
		text += fmt.Sprintf(", %d failed", p.Failed)
	}
	if p.Resting {
		text += "; it waits until the upstream may be asked again"
	}
	return text
}

// cutTo shortens a line, so that a terminal does not wrap it.
func cutTo(s string, columns int) string {
	runes := []rune(s)
	return string(runes[:min(columns, len(runes))])
}
