package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/journal"
)

// A pack is content that holds many small things which the index keeps: manifests and small blobs. It is written for the day on which the
// index is lost, and read on that day only:
//
//	{"entrepotPack":1,"entries":2}
//	{"kind":"data","digest":"sha256:…","size":2}
//	{}
//	{"kind":"man","digest":"sha256:…","size":417}
//	{"schemaVersion":2,…}
//
// One pack instead of a file (or an S3 object) for each of them makes copying a thousandth of a push's work instead of its greater part.

const (
	packBytes   = 4 << 20 // a pack is closed when it has grown so large
	packEntries = 4096
)

var errPack = errors.New("damaged pack")

// packed is one entry of a pack.
type packed struct {
	Kind   string        `json:"kind"` // man or data
	Digest digest.Digest `json:"digest"`
	Size   int           `json:"size"`
	body   []byte
	waits  string // key of the row by which it waits to be packed
}

type packHeader struct {
	Version int `json:"entrepotPack"`
	Entries int `json:"entries"`
}

var packMagic = []byte(`{"entrepotPack":1,"entries":`)

func isPack(begin []byte) bool { return bytes.HasPrefix(begin, packMagic) }

// reserved tells by how content begins whether it is of a form that is for the registry's own use. Who could push such content could have a
// rebuilt index say what he likes.
func reserved(begin []byte) bool { return isPack(begin) || journal.IsSegment(begin) }

func errReserved() error {
	return &Error{Code: BlobUploadInvalid, Detail: map[string]string{"hint": "content that begins like this is for the registry's own use; wrap it into an archive"}}
}

func writePack(entries []packed) []byte {
	size := 64
	for _, e := range entries {
		size += len(e.body) + 256
	}
	out := bytes.NewBuffer(make([]byte, 0, size))
	lines := json.NewEncoder(out)
	_ = lines.Encode(packHeader{1, len(entries)})
	for _, e := range entries {
		_ = lines.Encode(e)
		out.Write(e.body)
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// readPack returns the entries of a pack. Each has its digest checked; anything else than what writePack wrote is refused.
func readPack(pack []byte) ([]packed, error) {
	line := func(into any) error {
		text, rest, found := bytes.Cut(pack, []byte{'\n'})
		if !found || json.Unmarshal(text, into) != nil {
			return errPack
		}
		pack = rest
		return nil
	}
	var header packHeader
	if err := line(&header); err != nil || header.Version != 1 {
		return nil, errPack
	}
	var entries []packed
	for range header.Entries {
		var e packed
		if err := line(&e); err != nil {
			return nil, err
		}
		if !ValidDigest(string(e.Digest)) || e.Kind != "man" && e.Kind != "data" || e.Size < 0 || e.Size >= len(pack) || pack[e.Size] != '\n' {
			return nil, errPack
		}
		e.body, pack = pack[:e.Size:e.Size], pack[e.Size+1:]
		if e.Digest.Algorithm().FromBytes(e.body) != e.Digest {
			return nil, fmt.Errorf("%w: %s does not match its bytes", errPack, e.Digest)
		}
		entries = append(entries, e)
	}
	if len(pack) > 0 {
		return nil, errPack
	}
	return entries, nil
}
