package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// seed makes what this run pushes new to any server that was there before.
var seed = uint64(time.Now().UnixNano())

// filler is what blobs are made of: random, so that nothing is gained by packing it.
var filler = func() []byte {
	b := make([]byte, mib)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b
}()

// tail is how many bytes at the end of a blob are its own; what is before them is the same in all blobs of a size.
const tail = 16

// supply makes blobs of one size, each another. The shared part is hashed once, so that a new blob costs the hash of its last bytes and
// no time of the timed section.
type supply struct {
	size   int64
	before hash.Cloner
}

func newSupply(size int64) *supply {
	h := sha256.New()
	_ = blob{size: size}.write(h, 0, size-tail)
	return &supply{size: size, before: h.(hash.Cloner)}
}

// series counts across supplies, so that no two make the same.
var series atomic.Uint64

func (s *supply) next() blob {
	b := blob{size: s.size}
	binary.LittleEndian.PutUint64(b.tail[:], seed)
	binary.LittleEndian.PutUint64(b.tail[8:], series.Add(1))
	h, err := s.before.Clone()
	if err != nil {
		panic(err) // SHA-256 is always cloned
	}
	h.Write(b.tail[:])
	b.digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return b
}

// blob is content that is known by its size and its last bytes.
type blob struct {
	size   int64
	tail   [tail]byte
	digest string
}

// write writes the bytes from <= i < to.
func (b blob) write(w io.Writer, from, to int64) error {
	for from < to {
		var p []byte
		if own := b.size - tail; from >= own {
			p = b.tail[from-own : to-own]
		} else {
			at := from % int64(len(filler))
			p = filler[at:min(int64(len(filler)), at+min(to, own)-from)]
		}
		n, err := w.Write(p)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

const (
	imageType      = "application/vnd.oci.image.manifest.v1+json"
	configType     = "application/vnd.oci.image.config.v1+json"
	emptyType      = "application/vnd.oci.empty.v1+json"
	layerType      = "application/vnd.oci.image.layer.v1.tar"
	acceptManifest = "Accept: " + imageType
)

// image is a small image's manifest: its config and layer are pushed once, and each manifest made of them is another by a number.
type image struct{ config, layer blob }

func (i image) manifest() []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},`+
		`"layers":[{"mediaType":%q,"digest":%q,"size":%d}],"annotations":{"bench":"%x-%d"}}`,
		imageType, configType, i.config.digest, i.config.size, layerType, i.layer.digest, i.layer.size, seed, series.Add(1))
}

// referrer is a manifest about another, with the same config and layer.
func (i image) referrer(subject []byte) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":"application/vnd.bench",`+
		`"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}],`+
		`"subject":{"mediaType":%q,"digest":%q,"size":%d},"annotations":{"bench":"%x-%d"}}`,
		imageType, emptyType, i.config.digest, i.config.size, layerType, i.layer.digest, i.layer.size,
		imageType, digest(subject), len(subject), seed, series.Add(1))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
