package suite

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// How the files of one list are called.
const (
	listFile = "Packages"
	gzEnd    = ".gz"
	xzEnd    = ".xz"
)

// gzipLevel gives files 2 % longer than the default level's, in half its time.
const gzipLevel = 5

// list is the packages of one component for one architecture.
type list struct {
	path string // of Packages
	text []byte
	cuts []int // where blocks of the .xz end
}

func listPath(component, architecture string) string {
	return component + "/binary-" + architecture + "/" + listFile
}

// listOf takes the path of a Packages file apart.
func listOf(path string) (component, architecture string, ok bool) {
	rest, ok := strings.CutSuffix(path, "/"+listFile)
	if !ok {
		return "", "", false
	}
	component, architecture, ok = strings.Cut(rest, "/binary-")
	return component, architecture, ok && CheckName(component) == nil && checkArchitecture(architecture) == nil
}

// makeList writes the Packages file of a component and an architecture.
func makeList(entries []*entry, component, architecture string) list {
	l := list{path: listPath(component, architecture), text: []byte{}}
	var mine []*entry
	size := 0
	for _, e := range entries {
		if e.Component == component && (e.Architecture == architecture || e.Architecture == all) {
			mine = append(mine, e)
			size += len(e.stanza)
		}
	}
	l.text = make([]byte, 0, size)
	begin := 0
	for _, e := range mine {
		l.text = append(l.text, e.stanza...)
		if isCut(len(l.text)-begin, e) {
			begin = len(l.text)
			l.cuts = append(l.cuts, begin)
		}
	}
	if begin < len(l.text) {
		l.cuts = append(l.cuts, len(l.text))
	}
	return l
}

// write puts the files of the list into a snapshot: those of the one before, if the list is the same, and new ones otherwise.
func (l list) write(next, before *Snapshot) error {
	f := newFile(l.text)
	if old := before.Files[l.path]; old.SHA256 == f.SHA256 && old.usable() {
		if z, x := before.Files[l.path+gzEnd], before.Files[l.path+xzEnd]; z.usable() && x.usable() {
			next.Files[l.path], next.Files[l.path+gzEnd], next.Files[l.path+xzEnd] = old, z, x
			return nil
		}
	}
	zipped, err := packGzip(l.text)
	if err != nil {
		return fmt.Errorf("compress %s: %w", l.path, err)
	}
	xzipped, err := packXZ(l.text, l.cuts, blocksOf(before.Files[l.path], before.Files[l.path+xzEnd]))
	if err != nil {
		return fmt.Errorf("compress %s: %w", l.path, err)
	}
	next.Files[l.path] = f
	next.put(l.path+gzEnd, zipped)
	next.put(l.path+xzEnd, xzipped)
	return nil
}

func packGzip(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzipLevel)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
