package crash

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// piece is content that can be made again from its number, so that nobody has to keep it.
type piece struct {
	number uint64
	size   int
	digest digest.Digest
}

func newPiece(number uint64, size int) piece {
	p := piece{number: number, size: size}
	p.digest = digest.FromBytes(p.bytes())
	return p
}

func (p piece) bytes() []byte {
	var seed [32]byte
	for i := range 8 {
		seed[i] = byte(p.number >> (8 * i))
	}
	b := make([]byte, p.size)
	_, _ = rand.NewChaCha8(seed).Read(b) // never fails
	return b
}

// facts are what a repository must hold. Every name that was ever used has an entry, also when it is gone: then it must stay gone.
type facts struct {
	blobs     map[digest.Digest]bool
	manifests map[digest.Digest]bool
	tags      map[string]digest.Digest // "" when there is no such tag
}

func noFacts() facts {
	return facts{map[digest.Digest]bool{}, map[digest.Digest]bool{}, map[string]digest.Digest{}}
}

func (f facts) clone() facts {
	return facts{maps.Clone(f.blobs), maps.Clone(f.manifests), maps.Clone(f.tags)}
}

// here returns the names of m whose entry says that they are there, in a fixed order.
func here(m map[digest.Digest]bool) []digest.Digest {
	var names []digest.Digest
	for d, there := range m {
		if there {
			names = append(names, d)
		}
	}
	slices.Sort(names)
	return names
}

// repo is a repository in which one writer alone changes things.
type repo struct {
	name string
	facts
	pieces  map[digest.Digest]piece
	bodies  map[digest.Digest][]byte
	touched facts // what this round's requests were about
}

func newRepo(name string) *repo {
	return &repo{name: name, facts: noFacts(), pieces: map[digest.Digest]piece{}, bodies: map[digest.Digest][]byte{}, touched: noFacts()}
}

// change is a request under way: where, and what will be true if it happens.
type change struct {
	what  string
	repo  *repo
	after facts
}

// opened is an upload that is not finished.
type opened struct {
	repo      *repo
	location  string
	piece     piece
	size      int  // bytes whose receipt was acknowledged
	sending   int  // bytes of the request under way
	finishing bool // the request under way is the last
}

// known is a place where a blob was put: somebody may mount it from there.
type known struct {
	repo  string
	piece piece
}

// move is a writer's try to set the tag that all fight over.
type move struct {
	to           digest.Digest
	began, ended time.Time
	answered     bool
}

// common is what the writers share.
type common struct {
	mu     sync.Mutex
	places []known
	moves  []move // of this round
	hot    digest.Digest
	images map[digest.Digest]bool // in the common repository; false: perhaps
	bodies map[digest.Digest][]byte
}

func (c *common) put(k known) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.places = append(c.places, k)
}

func (c *common) place(r *rand.Rand) (known, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.places) == 0 {
		return known{}, false
	}
	return c.places[r.IntN(len(c.places))], true
}

// mayBeHot returns what the contested tag may name: a try that was not certainly overwritten by a later one.
func (c *common) mayBeHot() map[digest.Digest]bool {
	may := map[digest.Digest]bool{}
	overwritten := func(since time.Time) bool {
		return slices.ContainsFunc(c.moves, func(m move) bool { return m.answered && m.began.After(since) })
	}
	if !overwritten(time.Time{}) {
		may[c.hot] = true
	}
	for _, m := range c.moves {
		// A try without an answer may have happened at any time until the program died.
		if !m.answered || !overwritten(m.ended) {
			may[m.to] = true
		}
	}
	return may
}

// image returns a manifest of blobs, made unlike any other by its label.
func image(label string, config piece, layers ...piece) []byte {
	m := ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageManifest,
		Config:      ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: config.digest, Size: int64(config.size)},
		Layers:      []ocispec.Descriptor{},
		Annotations: map[string]string{"label": label},
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: l.digest, Size: int64(l.size)})
	}
	return wire.JSON(m)
}
