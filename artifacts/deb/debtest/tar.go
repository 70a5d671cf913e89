package debtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// date is when everything was made.
var date = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Entry is an entry of a tar archive.
type Entry struct {
	Name string
	Body string
	Type byte   // default: a file, or a folder if the name ends with /
	Link string // where a link leads
	Mode int64  // default 0644, and 0755 for a folder
}

// Tar makes a tar archive of entries as they are, in GNU's format.
func Tar(entries ...Entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{
			Name: e.Name, Typeflag: e.Type, Linkname: e.Link, Mode: e.Mode, Size: int64(len(e.Body)),
			ModTime: date, Uname: "root", Gname: "root", Format: tar.FormatGNU,
		}
		folder := e.Type == tar.TypeDir || e.Type == 0 && len(e.Name) > 0 && e.Name[len(e.Name)-1] == '/'
		switch {
		case folder:
			h.Typeflag = tar.TypeDir
		case e.Type == 0:
			h.Typeflag = tar.TypeReg
		}
		if e.Mode == 0 {
			h.Mode = 0o644
			if folder {
				h.Mode = 0o755
			}
		}
		must(w.WriteHeader(h))
		if e.Body != "" {
			_, err := w.Write([]byte(e.Body))
			must(err)
		}
	}
	must(w.Close())
	return b.Bytes()
}

// Pack compresses with "gz", "xz", "zst" or "lzma", and leaves a body as it is with "".
func Pack(compression string, body []byte) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch compression {
	case "":
		return body
	case "gz":
		w = gzip.NewWriter(&b)
	case "xz":
		w, err = xz.NewWriter(&b)
	case "zst":
		w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	case "lzma":
		w, err = lzma.NewWriter(&b)
	default:
		err = fmt.Errorf("no compression %q", compression)
	}
	must(err)
	_, err = w.Write(body)
	must(err)
	must(w.Close())
	return b.Bytes()
}

// must ends the test that asked for what cannot be made.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("debtest: %v", err))
	}
}
