package registry

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Rows are lines of tab-separated fields: quick to read on the hot path, legible in a dump, and open for more fields at the end.

var errRow = errors.New("index row is damaged; run entrepot reindex")

// Stored is a manifest as a repository or one of its tags names it.
type Stored struct {
	ocispec.Descriptor // media type, digest, size, artifact type
	Pushed             time.Time
	By                 string

	// Needed is told to a Guard about a manifest that is to be removed: another manifest of the repository, an index, is made of it.
	Needed bool
}

func (s Stored) row() []byte {
	b := make([]byte, 0, 256)
	b = append(b, s.Digest...)
	b = append(append(b, '\t'), s.MediaType...)
	b = strconv.AppendInt(append(b, '\t'), s.Size, 10)
	b = append(append(b, '\t'), s.ArtifactType...)
	b = strconv.AppendInt(append(b, '\t'), s.Pushed.UnixMilli(), 10)
	return append(append(b, '\t'), field(s.By)...)
}

func parseStored(row []byte) (s Stored, err error) {
	f := fields(string(row))
	s.Digest, s.MediaType, s.ArtifactType, s.By = digest.Digest(f[0]), f[1], f[3], f[5]
	var ms int64
	s.Size, err = strconv.ParseInt(f[2], 10, 64)
	if err == nil {
		ms, err = strconv.ParseInt(f[4], 10, 64)
	}
	if err != nil {
		return s, errRow
	}
	s.Pushed = time.UnixMilli(ms).UTC()
	return s, nil
}

// stock is what is known of a blob for all repositories.
type stock struct {
	size      int64
	committed time.Time
	touched   time.Time // when a push last relied on it
	doomed    time.Time // when it was found that nobody holds it; zero: somebody does, or it was not looked
	dying     time.Time // since when somebody is deleting its content; zero: nobody is
}

func (s stock) row() []byte {
	b := strconv.AppendInt(make([]byte, 0, 48), s.size, 10)
	b = strconv.AppendInt(append(b, '\t'), s.committed.UnixMilli(), 10)
	b = strconv.AppendInt(append(b, '\t'), s.touched.UnixMilli(), 10)
	if !s.doomed.IsZero() {
		b = strconv.AppendInt(append(b, '\t'), s.doomed.UnixMilli(), 10)
	}
	if !s.dying.IsZero() {
		b = strconv.AppendInt(append(b, '\t'), s.dying.UnixMilli(), 10)
	}
	return b
}

func parseStock(row []byte) (s stock, err error) {
	f := fields(string(row))
	n := [3]int64{}
	for i := range n {
		if n[i], err = strconv.ParseInt(f[i], 10, 64); err != nil {
			return s, errRow
		}
	}
	s = stock{size: n[0], committed: time.UnixMilli(n[1]).UTC(), touched: time.UnixMilli(n[2]).UTC()}
	for i, at := range []*time.Time{&s.doomed, &s.dying} {
		if f[3+i] == "" {
			continue
		}
		ms, err := strconv.ParseInt(f[3+i], 10, 64)
		if err != nil {
			return s, errRow
		}
		*at = time.UnixMilli(ms).UTC()
	}
	return s, nil
}

// fields splits a row; fields that it lacks are empty, those beyond are left to newer versions.
func fields(row string) (f [7]string) {
	for i := range f {
		f[i], row, _ = strings.Cut(row, "\t")
	}
	return f
}

// field keeps free text from breaking a row.
func field(s string) string { return strings.NewReplacer("\t", " ", "\n", " ").Replace(s) }
