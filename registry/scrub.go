package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/kv"
)

// Scrubbing reads all content again, slowly, and compares it with its digests: media rot, and what nobody reads nobody misses until it is needed.
//
//	a blob that is damaged is not served any more: it is put aside for the operator (scrubaside.go), and the repositories that held it are remembered;
//	from then on it is unknown, so that a push of the same content, or a pull through an upstream, brings it back by the ways that there are anyway;
//	the scrub itself asks for it where it may be had: in a pack, at a peer, or elsewhere (scrubheal.go);
//	whoever brought it back, all repositories that held it hold it again (Mend);
//	the index's manifests, packs and the journal's segments are read as well, and written anew from each other (scrubown.go);
//	a pack most of which is gone is packed anew (scrubpack.go).
//
// What is read is judged twice before it is called damaged, and what cannot be read at all only if the store does its work otherwise: a store that is away is no
// damage.

// ScrubOptions say how to scrub.
type ScrubOptions struct {
	Rate  int64              // bytes a second; 0: as fast as possible
	After string             // the key of the index behind which to go on; empty: from the beginning
	Tell  func(ScrubTally)   // told how far it is, as it reads; may be nil
	At    func(after string) // told behind which key another scrub would go on; may be nil
	Found func(Damage)       // told of each damage, with what became of it; may be nil

	// Fetch opens a repository's blob elsewhere, as at its upstream. It may return an error for a repository that has none. Nil: there is no elsewhere.
	Fetch func(ctx context.Context, repo string, d digest.Digest) (io.ReadCloser, error)
	// Peers are asked before what is elsewhere, in their order.
	Peers []Peer

	patience time.Duration // for one source and one blob, beside what healRate makes of its size; 0: healFor
}

// ScrubTally is what a scrub has done.
type ScrubTally struct {
	Things  int64 `json:"things"`  // blobs, manifests, packs and segments that were read
	Bytes   int64 `json:"bytes"`   // that were read
	Damaged int64 `json:"damaged"` // things that were found damaged
	Healed  int64 `json:"healed"`  // things that are whole again

	Compacted int64 `json:"compacted,omitempty"` // packs that were written anew without what is gone
}

// What is wrong with content.
const (
	DamageMissing    = "missing"    // the index knows it, and the store has nothing
	DamageUnreadable = "unreadable" // the store cannot read it
	DamageSize       = "size"       // it is shorter or longer than it was
	DamageDigest     = "digest"     // its bytes are others
)

// Damage is content that is not what it was.
type Damage struct {
	Kind   string        `json:"kind"` // blob, manifest, pack or segment
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size,omitempty"` // bytes that it had when it was stored
	What   string        `json:"what"`
	Detail string        `json:"detail,omitempty"`
	Found  time.Time     `json:"found"`
	Aside  string        `json:"aside,omitempty"`  // where what is left of it was put
	Healed string        `json:"healed,omitempty"` // by what it is whole again; empty: it is not
	Images []Hit         `json:"images,omitempty"` // that are made of it, at most maxHits
	More   bool          `json:"more,omitempty"`   // there are more
}

// scrubAtOnce is how many keys are read in one go: no transaction of the index stays open while content is read.
const scrubAtOnce = 256

// Scrub reads everything once. It is right beside pushes, deletions, sweeps and other scrubs, and content that was stored within Config.Doomed is left to the next one.
func (r *Registry) Scrub(ctx context.Context, o ScrubOptions) (ScrubTally, error) {
	s := &scrub{r: r, o: o, pace: newPace(o.Rate)}
	s.pace.tell = s.tell
	err := r.Mend(ctx)
	if stuck := (*asideError)(nil); errors.As(err, &stuck) && ctx.Err() == nil {
		r.log.Error("put damaged content aside", "err", err)
		err = nil
	}
	if err == nil && o.After == "" {
		err = s.retry(ctx)
	}
	if err == nil {
		err = s.walk(ctx)
	}
	if err != nil {
		err = fmt.Errorf("scrub: %w", err)
	}
	return s.done, err
}

// scrub is one walk.
type scrub struct {
	r    *Registry
	o    ScrubOptions
	pace *pace
	done ScrubTally
}

// walk reads everything, in the order of the index's keys.
func (s *scrub) walk(ctx context.Context) error {
	for _, step := range []struct {
		prefix string
		look   func(ctx context.Context, key string) error
	}{{prefixBlob, s.blob}, {prefixMan, s.manifest}, {prefixPack, s.pack}, {prefixSegment, s.segment}} {
		from, to := kv.Prefix(step.prefix)
		if s.o.After >= from {
			from = s.o.After + "\x00"
		}
		for from < to {
			keys, next, err := s.keys(ctx, from, to)
			if err != nil {
				return err
			}
			for _, key := range keys {
				if err := step.look(ctx, strings.TrimPrefix(key, step.prefix)); err != nil {
					return fmt.Errorf("read %s: %w", key, err)
				}
				s.done.Things++
				s.tell()
				if s.o.At != nil {
					s.o.At(key)
				}
			}
			from = next
		}
	}
	return nil
}

// keys returns the next keys without those of holders, and from where to go on.
func (s *scrub) keys(ctx context.Context, from, to string) (keys []string, next string, err error) {
	looked := 0
	for pair, err := range s.r.index.Scan(ctx, from, to) {
		if err != nil {
			return nil, "", err
		}
		if !strings.Contains(pair.Key, "!") {
			keys = append(keys, pair.Key)
		}
		if looked++; len(keys) == scrubAtOnce || looked == 16*scrubAtOnce {
			return keys, pair.Key + "\x00", nil
		}
	}
	return keys, to, nil
}

func (s *scrub) tell() {
	s.done.Bytes = s.pace.bytes
	if s.o.Tell != nil {
		s.o.Tell(s.done)
	}
}

// found tells of a damage, with the images that it hits.
func (s *scrub) found(ctx context.Context, d Damage) error {
	s.done.Damaged++
	if d.Healed != "" {
		s.done.Healed++
	}
	var err error
	if d.Kind == "blob" || d.Kind == "manifest" {
		if d.Images, d.More, err = hits(ctx, s.r.index, d.Digest); err != nil {
			return err
		}
	}
	s.r.log.Error("content is damaged", "kind", d.Kind, "digest", d.Digest, "what", d.What, "detail", d.Detail, "images", len(d.Images), "aside", d.Aside, "healed", d.Healed)
	if s.o.Found != nil {
		s.o.Found(d)
	}
	return nil
}
