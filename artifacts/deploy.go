package artifacts

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// maxFormer is how many versions a place remembers, to roll back to and to list in its suite.
const maxFormer = 20

// Deployed returns what is deployed of a component at a place, or ErrUnknown.
func (k *Catalog) Deployed(ctx context.Context, name string, at Place) (Deployed, error) {
	return read[Deployed](ctx, k.index, keyDeployed(at, name))
}

// DeployedAt yields what is deployed at a place, of the components after the given one, in byte order.
func (k *Catalog) DeployedAt(ctx context.Context, at Place, after string) iter.Seq2[Deployed, error] {
	return list[Deployed](ctx, k.index, keyDeployed(at, ""), after)
}

// DeployedOf yields where a component is deployed.
func (k *Catalog) DeployedOf(ctx context.Context, name string) iter.Seq2[Deployed, error] {
	return deployedOf(ctx, k.index, name)
}

func deployedOf(ctx context.Context, v kv.View, name string) iter.Seq2[Deployed, error] {
	return func(yield func(Deployed, error) bool) {
		prefix := prefixAt + name + "!"
		from, to := kv.Prefix(prefix)
		for pair, err := range v.Scan(ctx, from, to) {
			var row Deployed
			if err == nil {
				p, _ := ParsePlace(strings.TrimPrefix(pair.Key, prefix))
				row, err = read[Deployed](ctx, v, keyDeployed(p, name))
			}
			if errors.Is(err, ErrUnknown) {
				continue // it was withdrawn meanwhile
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// Places returns where anything is deployed, sorted.
func (k *Catalog) Places(ctx context.Context) ([]Place, error) {
	var all []Place
	from := prefixDeployed
	_, to := kv.Prefix(prefixDeployed)
	for {
		found := false
		for pair, err := range k.index.Scan(ctx, from, to) {
			if err != nil {
				return nil, err
			}
			parts := strings.SplitN(strings.TrimPrefix(pair.Key, prefixDeployed), "!", 3)
			p := Place{parts[0], parts[1]}
			all, found = append(all, p), true
			_, from = kv.Prefix(keyDeployed(p, ""))
			break
		}
		if !found {
			return all, nil
		}
	}
}

// MoveQuery says which moves are wanted; what is not set is any.
type MoveQuery struct {
	Component    string
	Place        *Place
	By           string
	Since, Until time.Time
	Before       string // the id of a move; those after it are passed over, and itself
}

// Moves yields moves of domain tags, the newest first.
func (k *Catalog) Moves(ctx context.Context, q MoveQuery) iter.Seq2[Move, error] {
	prefix := prefixMove
	switch {
	case q.Component != "":
		prefix = prefixMoved + q.Component + "!"
	case q.Place != nil:
		prefix = prefixMovedAt + q.Place.Tag() + "!"
	}
	return func(yield func(Move, error) bool) {
		from, to := kv.Prefix(prefix)
		if !q.Until.IsZero() {
			from = prefix + inverse(micros(q.Until.Add(time.Microsecond)))
		}
		if q.Before != "" {
			from = max(from, prefix+inverse(q.Before)+"\x00")
		}
		for pair, err := range k.index.Scan(ctx, from, to) {
			var m Move
			if err == nil {
				m, err = k.MoveOf(ctx, inverse(strings.TrimPrefix(pair.Key, prefix)))
			}
			if err == nil && !q.Since.IsZero() && m.When.Before(q.Since) {
				return
			}
			if err == nil && (q.Place != nil && m.Place != *q.Place || q.By != "" && m.By != q.By) {
				continue
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// MoveOf returns a move by its id, or ErrUnknown.
func (k *Catalog) MoveOf(ctx context.Context, id string) (Move, error) {
	if len(id) > 100 {
		return Move{}, ErrUnknown
	}
	return read[Move](ctx, k.index, keyMove(id))
}

// Move moves a domain tag: it promotes, rolls back or withdraws, as ordered, or returns a *Refused with all that speaks against it. Domain row, tag, apt
// suite, record and event change in one transaction, which fails if anything has changed that was judged. What is so already is no change, and its move
// is returned again, as Already.
func (k *Catalog) Move(ctx context.Context, o Order) (Move, error) {
	o, err := o.checked()
	if err != nil {
		return Move{}, err
	}
	j, err := k.judgeMove(ctx, k.index, o)
	if err != nil {
		return Move{}, err
	}
	if j.same {
		return alreadyBy(ctx, k.index, j.was)
	}
	if j.packages {
		return k.publishers.of(o.Place).move(ctx, k, o)
	}
	var m Move
	err = k.index.Update(ctx, func(tx kv.Tx) error {
		j, err := k.judgeMove(ctx, tx, o)
		if err == nil && j.packages {
			err = o.refuse(Changed, Reason{"promotion.changed", "the version was given packages just now", "try again"})
		}
		if err != nil {
			return err
		}
		if j.same {
			m, err = alreadyBy(ctx, tx, j.was)
			return err
		}
		m, err = k.apply(ctx, tx, o, j)
		return err
	})
	return m, err
}

// alreadyBy is the answer to an order to do what is so already.
func alreadyBy(ctx context.Context, v kv.View, is Deployed) (Move, error) {
	m, err := read[Move](ctx, v, keyMove(is.Move))
	m.Already = true
	return m, err
}

const maxReason = 1000

// checked brings an order into the form that is worked with.
func (o Order) checked() (Order, error) {
	bad := func(says, fix string) error { return o.refuse(Malformed, Reason{"promotion.malformed", says, fix}) }
	if !IsComponent(o.Component) || !registry.ValidName(o.Component) {
		return o, bad(fmt.Sprintf("%.100q is no component", o.Component), "write domain/group/service, as cloud/dmp/ms-ingestion")
	}
	if p, err := ParsePlace(o.Place.Tag()); err != nil || p != o.Place {
		return o, bad(fmt.Sprintf("%.100q is no place", o.Place.Tag()), "write a domain and an environment, as cloud.prod")
	}
	if len(o.Reason) > maxReason || strings.ContainsFunc(o.Reason, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return o, bad("the reason is no line of up to 1000 characters", "shorten it")
	}
	texts := []*string{&o.Version}
	if o.Expect != nil {
		expect := *o.Expect
		o.Expect = &expect
		texts = append(texts, o.Expect)
	}
	for _, text := range texts {
		if *text == "" {
			continue
		}
		v, err := version.Parse(*text)
		if err != nil {
			return o, bad(fmt.Sprintf("%.100q is no version", *text), "write one, as 1.0.2")
		}
		*text = v.String()
	}
	switch {
	case o.Kind == Promotion && o.Version == "":
		return o, bad("no version is named", "say which one is to be deployed")
	case o.Kind == Withdrawal && o.Version != "":
		return o, bad("a withdrawal has no version", "leave it out")
	case o.Kind != Promotion && o.Kind != Rollback && o.Kind != Withdrawal:
		return o, bad(fmt.Sprintf("%.100q is no kind of move", o.Kind), "promote, roll back or withdraw")
	}
	return o, nil
}

// what says what an order asks for.
func (o Order) what() string {
	at := o.Component + " at " + o.Place.Tag()
	switch {
	case o.Kind == Withdrawal:
		return "withdraw " + at
	case o.Kind == Rollback && o.Version == "":
		return "roll back " + at
	case o.Kind == Rollback:
		return "roll back " + at + " to " + o.Version
	}
	return "promote " + o.Component + " " + o.Version + " to " + o.Place.Tag()
}

func (o Order) refuse(code RefusedCode, reasons ...Reason) error {
	return &Refused{Code: code, What: o.what(), Reasons: reasons}
}

// apply does what was judged to be in order, in the transaction of that judgement.
func (k *Catalog) apply(ctx context.Context, tx kv.Tx, o Order, j judgement) (Move, error) {
	now := k.now().UTC().Truncate(time.Microsecond)
	m := Move{
		Kind: o.Kind, Component: o.Component, Place: o.Place, From: j.was.Version, FromDigest: j.was.Digest, To: j.to.Version,
		By: journal.Who(ctx).Name, When: now, Reason: o.Reason, Forced: o.Force,
	}
	for _, f := range j.findings {
		m.Findings, m.Names = append(m.Findings, f.Says), append(m.Names, f.name)
	}
	// Where the clock was set back the newest move is still the last one.
	if last := j.was.Since; !now.After(last) {
		m.When = last.Add(time.Microsecond)
	}
	m.ID = micros(m.When) + hex.EncodeToString(random(4))
	if o.Kind == Withdrawal {
		tx.Delete(keyDeployed(o.Place, o.Component))
		tx.Delete(keyAt(o.Component, o.Place))
		if err := registry.DropTag(ctx, tx, o.Component, o.Place.Tag()); err != nil {
			return m, err
		}
	} else {
		named, err := k.named(ctx, tx, j.to)
		if err != nil {
			return m, err
		}
		m.Digest = named.Digest
		named.Pushed, named.By = m.When, m.By
		if err := registry.SetTag(ctx, tx, o.Component, o.Place.Tag(), named); err != nil {
			return m, err
		}
		row := Deployed{Component: o.Component, Place: o.Place, Version: m.To, Digest: m.Digest, Move: m.ID, By: m.By, Since: m.When, Reason: m.Reason, Former: j.former}
		if err := write(tx, keyDeployed(o.Place, o.Component), row); err != nil {
			return m, err
		}
		tx.Put(keyAt(o.Component, o.Place), nil)
	}
	tx.Put(keyMoved(o.Component, m.ID), nil)
	tx.Put(keyMovedAt(o.Place, m.ID), []byte(o.Component+"\t"+m.To))
	journal.Append(ctx, tx, journal.Event{
		Action: "component." + string(o.Kind), Repo: o.Component, Tag: o.Place.Tag(), Digest: string(m.Digest), From: string(m.FromDigest),
		Object: cmp.Or(m.To, m.From), Note: o.Reason, Result: "ok",
	})
	return m, write(tx, keyMove(m.ID), m)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// named returns what a domain tag names for a version: its image, or, without one, the index that ties its formats together, which is made if nobody has
// pushed one.
func (k *Catalog) named(ctx context.Context, tx kv.Tx, v Version) (registry.Stored, error) {
	for _, format := range []Kind{Docker, Release} {
		if f, ok := v.Formats[format]; ok {
			return registry.TagIn(ctx, tx, v.Component, f.Tag)
		}
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, ArtifactType: TypeRelease}
	for _, format := range []Kind{Deb, Generic} {
		if f, ok := v.Formats[format]; ok {
			named, err := registry.TagIn(ctx, tx, v.Component, f.Tag)
			if err != nil {
				return registry.Stored{}, err
			}
			index.Manifests = append(index.Manifests, ocispec.Descriptor{
				MediaType: named.MediaType, Digest: named.Digest, Size: named.Size, ArtifactType: map[Kind]string{Deb: TypeDeb, Generic: TypeGeneric}[format],
				Annotations: map[string]string{ocispec.AnnotationRefName: f.Tag},
			})
		}
	}
	body, err := json.Marshal(index)
	if err != nil {
		return registry.Stored{}, err
	}
	now, err := registry.Keep(ctx, tx, v.Component, index.MediaType, body, k.now())
	if err != nil {
		return now, err
	}
	number, err := version.Parse(v.Version)
	if err != nil {
		return now, err
	}
	tag := tagOf(Release, number)
	if err := registry.SetTag(ctx, tx, v.Component, tag, now); err != nil {
		return now, err
	}
	m, err := registry.ManifestIn(ctx, tx, now)
	if err != nil {
		return now, err
	}
	return now, k.keep(ctx, tx, v.Component, number, sighting{kind: Release, content: contentOf(m)}, tag, now)
}

// formerOf is what a place remembers after a move: a promotion puts what was there before in front, a rollback drops what it goes back over.
func formerOf(kind MoveKind, was Deployed, to string) []string {
	if kind == Rollback {
		if at := slices.Index(was.Former, to); at >= 0 {
			return slices.Clone(was.Former[at+1:])
		}
	}
	if was.Version == "" {
		return nil
	}
	former := slices.DeleteFunc(append([]string{was.Version}, was.Former...), func(v string) bool { return v == to })
	return former[:min(len(former), maxFormer)]
}
