package artifacts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// A suite is published together with the moves that change it. Its files and the manifest that holds them, an artifact of the suite's own repository, are
// stored first; the transaction that stores the manifest moves the domain tags and switches the suite. Whoever comes while a suite is being published waits,
// and all who wait are published together next: a burst of a hundred moves makes a handful of snapshots.

// publishers are the writers of suites, one for each.
type publishers struct {
	mu  sync.Mutex
	all map[Place]*publisher
}

func (p *publishers) of(at Place) *publisher {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[Place]*publisher{}
	}
	if p.all[at] == nil {
		p.all[at] = &publisher{place: at, turn: make(chan struct{}, 1)}
	}
	return p.all[at]
}

// publisher publishes the suite of a place.
type publisher struct {
	place Place
	turn  chan struct{} // held by who publishes

	mu      sync.Mutex
	waiting []*ordered

	pruned time.Time // when old snapshots were looked for; only for who has the turn
}

// ordered is an order that waits to be published.
type ordered struct {
	Order
	ctx  context.Context // of who ordered it: whose name stands in the records
	debs digest.Digest   // the packages of the version that the suite was made with
	done chan struct{}
	move Move
	err  error
}

func (o *ordered) isDone() bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

func (o *ordered) finish(m Move, err error) {
	o.move, o.err = m, err
	close(o.done)
}

// publishTime bounds one publication.
const publishTime = 2 * time.Minute

// move follows an order together with all others that wait. Once it is being published, it is published to its end.
func (p *publisher) move(ctx context.Context, k *Catalog, o Order) (Move, error) {
	mine := &ordered{Order: o, ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
	p.mu.Lock()
	p.waiting = append(p.waiting, mine)
	p.mu.Unlock()
	select {
	case <-mine.done:
	case p.turn <- struct{}{}:
		if !mine.isDone() {
			p.pace(ctx, k)
			p.publishAll(mine.ctx, k, p.take())
		}
		<-p.turn
		<-mine.done
	case <-ctx.Done():
		p.mu.Lock()
		at := slices.Index(p.waiting, mine)
		if at >= 0 {
			p.waiting = slices.Delete(p.waiting, at, at+1)
		}
		p.mu.Unlock()
		if at >= 0 {
			return Move{}, ctx.Err()
		}
		<-mine.done
	}
	return mine.move, mine.err
}

// take returns all who wait.
func (p *publisher) take() []*ordered {
	p.mu.Lock()
	defer p.mu.Unlock()
	batch := p.waiting
	p.waiting = nil
	return batch
}

// ahead is how far the date of a suite may be ahead of the clock, of the ten seconds that hosts suffer (apt.conf(5), Acquire::Max-FutureTime).
const ahead = 2 * time.Second

// pace waits, while orders gather, until the next snapshot need not be dated further ahead than that; but for a moment only, should the clock have been set
// back.
func (p *publisher) pace(ctx context.Context, k *Catalog) {
	row, err := read[suiteRow](ctx, k.index, keySuite(p.place.Suite()))
	if err != nil {
		return // there is none yet, or the publication says what is wrong
	}
	if wait := time.Unix(row.Snapshot, 0).Add(time.Second - ahead).Sub(k.now()); wait > 0 {
		select {
		case <-time.After(min(wait, time.Second)):
		case <-ctx.Done(): // who ordered it is gone; it is published nevertheless
		}
	}
}

// again publishes a suite as it is, for its date or its keys.
func (p *publisher) again(ctx context.Context, k *Catalog) error {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.turn }()
	return p.publish(ctx, k, nil)
}

// publishAll follows orders together; if that fails, one by one, so that only those fail that are at fault.
func (p *publisher) publishAll(ctx context.Context, k *Catalog, batch []*ordered) {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	if len(batch) > 1 {
		if p.publish(ctx, k, batch) == nil {
			return
		}
	}
	for _, o := range batch {
		if err := p.publish(ctx, k, []*ordered{o}); err != nil {
			o.finish(Move{}, err)
		}
	}
}

// errBehind says that another process has published the suite meanwhile.
var errBehind = errors.New("the suite was published by another process")

// publish follows all of the orders, or none and returns why. Orders that are followed are finished.
func (p *publisher) publish(ctx context.Context, k *Catalog, batch []*ordered) error {
	for try := range 20 {
		err := p.try(ctx, k, batch)
		if !errors.Is(err, errBehind) {
			return err
		}
		select {
		case <-time.After(time.Duration(try) * 10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errBehind
}

func (p *publisher) try(ctx context.Context, k *Catalog, batch []*ordered) error {
	name := p.place.Suite()
	row, before, err := readSuite(ctx, k.index, name)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return err
	}
	if err == nil && row.Place != p.place && len(batch) > 0 {
		return batch[0].refuse(AgainstIt, Reason{"promotion.suite", "the apt suite " + name + " is that of " + row.Place.Tag(), "choose another name for the domain or the environment"})
	}
	plan := &plan{View: k.index, deployed: map[string]*Deployed{}}
	for _, o := range batch {
		to, err := plan.add(ctx, k, o.Order)
		if err != nil {
			return err
		}
		o.debs = to.Formats[Deb].Digest
	}
	packages, err := plan.packages(ctx, p.place)
	if err != nil {
		return err
	}
	if len(batch) == 0 && len(packages) == 0 && row.Serial == 0 {
		return nil
	}
	signers, err := k.keys.Signers(ctx)
	if err != nil {
		return err
	}
	next, err := suite.Build(k.suiteOf(p.place), packages, k.now(), signers, k.published(ctx, row, before))
	if err != nil {
		if conflict := (*suite.Conflict)(nil); errors.As(err, &conflict) && len(batch) > 0 {
			return batch[0].refuse(AgainstIt, Reason{"promotion.package",
				fmt.Sprintf("the suite has the package %s %s for %s with other bytes already", conflict.Other.Name, conflict.Other.Version, conflict.Other.Architecture),
				"push it under a new version"})
		}
		return err
	}
	done, err := k.switchTo(ctx, &switching{place: p.place, serial: row.Serial, rule: k.suiteRule(signers), next: next, batch: batch})
	if err != nil {
		return err
	}
	for i, o := range batch {
		o.finish(done[i], nil)
	}
	if now := k.now(); now.Sub(p.pruned).Abs() >= pruneTime {
		p.pruned = now
		k.prune(ctx, name)
	}
	return nil
}

// pruneTime is how often old snapshots are looked for: there may be many.
const pruneTime = time.Minute

// suiteOf says what the suite of a place is called. None of it may ever change: hosts would refuse the suite.
func (k *Catalog) suiteOf(p Place) suite.Suite {
	return suite.Suite{
		Name: p.Suite(), Origin: "Entrepot", Label: p.Suite(), Description: "What is deployed in " + p.Tag(), ValidFor: k.validFor,
		Architectures: []string{"amd64"},
	}
}

// published returns the snapshot before with its contents, as far as they can be read: lists that did not change are then taken over, and others are packed faster.
func (k *Catalog) published(ctx context.Context, row suiteRow, before snapshotRow) *suite.Snapshot {
	if row.Serial == 0 {
		return nil
	}
	full := before.Snapshot
	full.Files = map[string]suite.File{}
	for name, f := range before.Files {
		if _, content, err := k.registry.OpenBlob(ctx, SuiteRepo(row.Place.Suite()), digest.NewDigestFromEncoded(digest.SHA256, f.SHA256)); err == nil {
			f.Content, _ = io.ReadAll(io.LimitReader(content, f.Size+1))
			content.Close()
		}
		full.Files[name] = f
	}
	return &full
}

// plan is the index as it will be when orders have been followed, as far as that matters to a suite.
type plan struct {
	kv.View
	deployed map[string]*Deployed // by component; nil: nothing is
}

// add judges an order by what will be, and adds it. It returns the version that it moves to.
func (p *plan) add(ctx context.Context, k *Catalog, o Order) (Version, error) {
	j, err := k.judgeMove(ctx, p, o)
	if err != nil || j.same {
		return j.to, err
	}
	p.deployed[o.Component] = nil
	if o.Kind != Withdrawal {
		p.deployed[o.Component] = &Deployed{Component: o.Component, Place: o.Place, Version: j.to.Version, Former: j.former}
	}
	return j.to, nil
}

// Get returns rows as they will be: those of what is deployed.
func (p *plan) Get(ctx context.Context, key string) ([]byte, error) {
	if rest, ok := strings.CutPrefix(key, prefixDeployed); ok && len(p.deployed) > 0 {
		if d, planned := p.deployed[rest[strings.LastIndexByte(rest, '!')+1:]]; planned {
			if d == nil {
				return nil, kv.ErrNotFound
			}
			return json.Marshal(d)
		}
	}
	return p.View.Get(ctx, key)
}

// packages are those of all that will be deployed at a place.
func (p *plan) packages(ctx context.Context, at Place) (all []suite.Package, err error) {
	add := func(d Deployed) error {
		more, err := packagesOf(ctx, p, d)
		all = append(all, more...)
		return err
	}
	for d, err := range list[Deployed](ctx, p.View, keyDeployed(at, ""), "") {
		if err != nil {
			return nil, err
		}
		if _, planned := p.deployed[d.Component]; planned {
			continue
		}
		if err := add(d); err != nil {
			return nil, err
		}
	}
	for _, d := range p.deployed {
		if d != nil {
			if err := add(*d); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// switching is known to the push that switches a suite.
type switching struct {
	place  Place
	serial int64  // of the snapshot before
	rule   string // see suiteRow
	next   *suite.Snapshot
	batch  []*ordered
	done   []Move
}

// own marks what the catalog does itself, which no rule of pushes and deletes is for.
type own struct{ *switching } // nil: nothing is switched

type ownKey struct{}

// switchTo stores the files of a snapshot, and then, in one transaction, its manifest, the moves, and which snapshot is published.
func (k *Catalog) switchTo(ctx context.Context, s *switching) ([]Move, error) {
	next, repo := s.next, SuiteRepo(s.next.Suite)
	index := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: TypeSuite, Config: ocispec.DescriptorEmptyJSON,
		Annotations: map[string]string{ocispec.AnnotationCreated: next.Date.UTC().Format(time.RFC3339), annotationPlace: s.place.Tag()},
	}
	index.Config.Data = nil
	if err := k.hold(ctx, repo, string(index.Config.Digest), ocispec.DescriptorEmptyJSON.Data); err != nil {
		return nil, err
	}
	for _, path := range sortedKeys(next.Files) {
		f := next.Files[path]
		d := digest.NewDigestFromEncoded(digest.SHA256, f.SHA256)
		if err := k.hold(ctx, repo, string(d), f.Content); err != nil {
			return nil, err
		}
		index.Layers = append(index.Layers, ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: f.Size, Annotations: map[string]string{ocispec.AnnotationTitle: path}})
	}
	body, err := json.Marshal(index)
	if err != nil {
		return nil, err
	}
	ctx = journal.By(context.WithValue(ctx, ownKey{}, own{s}), journal.Actor{Name: "system"})
	_, err = k.registry.PutManifest(ctx, registry.Put{
		Repo: repo, Ref: next.Date.UTC().Format(snapshotTag), ContentType: index.MediaType, Body: body,
	})
	return s.done, err
}

const (
	annotationPlace = "vnd.entrepot.place"
	snapshotTag     = "20060102T150405Z"
)

// hold stores a file of a suite, unless it is there.
func (k *Catalog) hold(ctx context.Context, repo, d string, content []byte) error {
	if _, err := k.registry.Blob(ctx, repo, digest.Digest(d)); err == nil {
		return nil
	}
	return k.registry.PutBlob(ctx, repo, digest.Digest(d), int64(len(content)), bytes.NewReader(content))
}

// record does all of it in the transaction of the manifest.
func (s *switching) record(k *Catalog) func(context.Context, kv.Tx, registry.Stored) error {
	return func(ctx context.Context, tx kv.Tx, now registry.Stored) error {
		name := s.next.Suite
		row, err := read[suiteRow](ctx, tx, keySuite(name))
		if err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
		if row.Serial != s.serial {
			return errBehind
		}
		s.done = make([]Move, len(s.batch))
		for i, o := range s.batch {
			by := journal.By(ctx, journal.Who(o.ctx))
			j, err := k.judgeMove(by, tx, o.Order)
			if err != nil {
				return err
			}
			if j.to.Formats[Deb].Digest != o.debs {
				return errBehind // packages were added, or taken away
			}
			if j.same {
				s.done[i], err = alreadyBy(by, tx, j.was)
			} else {
				s.done[i], err = k.apply(by, tx, o.Order, j)
			}
			if err != nil {
				return err
			}
		}
		if err := write(tx, keySnapshot(name, s.next.Date), snapshotRow{*s.next, now.Digest}); err != nil {
			return err
		}
		journal.Append(ctx, tx, journal.Event{Action: "suite.publish", Repo: SuiteRepo(name), Object: name, Digest: string(now.Digest), Result: "ok"})
		return write(tx, keySuite(name), suiteRow{Serial: row.Serial + 1, Place: s.place, Snapshot: s.next.Date.Unix(), Rule: s.rule})
	}
}

// prune lets go of snapshots that nobody can be reading any more. What fails is tried again the next time.
func (k *Catalog) prune(ctx context.Context, name string) {
	if err := k.pruned(ctx, name); err != nil {
		k.log.Warn("drop old snapshots of a suite; the next publication tries again", "suite", name, "err", err)
	}
}

// pruned drops their rows first: what has no row is nobody's, and is found by its tag until the last of it is gone.
func (k *Catalog) pruned(ctx context.Context, name string) error {
	var tags []string // listed before the rows are read: another process may be publishing
	for tag, err := range k.registry.Tags(ctx, SuiteRepo(name), "") {
		if err != nil {
			return err
		}
		tags = append(tags, tag)
	}
	var past []suite.Past
	gone := map[string]time.Time{} // by the tag
	for s, err := range snapshots(ctx, k.index, name) {
		if err != nil {
			return err
		}
		past = append(past, suite.Past{Date: s.Date, Hashes: s.Hashes()})
		gone[s.Date.UTC().Format(snapshotTag)] = s.Date
	}
	stay, _ := suite.Prune(past, k.now())
	stays, needed := map[string]bool{}, map[string]bool{ocispec.DescriptorEmptyJSON.Digest.Encoded(): true}
	for _, s := range stay {
		tag := s.Date.UTC().Format(snapshotTag)
		stays[tag] = true
		delete(gone, tag)
		for _, hash := range s.Hashes {
			needed[hash] = true
		}
	}
	if len(gone) > 0 {
		err := k.index.Update(ctx, func(tx kv.Tx) error {
			for _, date := range gone {
				tx.Delete(keySnapshot(name, date))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, tag := range tags {
		if stays[tag] {
			continue
		}
		if err := k.discard(ctx, SuiteRepo(name), tag, needed); err != nil {
			return err
		}
	}
	return nil
}

// discard removes the files of a snapshot that no other one needs, and then itself.
func (k *Catalog) discard(ctx context.Context, repo, tag string, needed map[string]bool) error {
	ctx = context.WithValue(ctx, ownKey{}, own{})
	p, now, err := k.registry.Again(ctx, repo, tag)
	if err != nil {
		return err
	}
	for _, l := range p.Manifest.Layers {
		if needed[l.Digest.Encoded()] {
			continue
		}
		if err := k.registry.DeleteBlob(ctx, repo, l.Digest); err != nil && registry.Code(err) != registry.BlobUnknown {
			return err
		}
	}
	return k.registry.DeleteManifest(ctx, repo, now.Digest, nil)
}

// suiteRule tells apart what suites are made by, besides packages.
func (k *Catalog) suiteRule(signers []suite.Signer) string {
	rule := k.validFor.String()
	for _, s := range signers {
		rule += " " + s.Fingerprint
	}
	return rule
}

// outdate has the suites published again that list packages of a version, or will: packages were added to it, or taken away. A publication that is under way
// begins anew.
func (k *Catalog) outdate(ctx context.Context, tx kv.Tx, name, number string, format Kind) error {
	if format != Deb || k.keys == nil {
		return nil
	}
	for d, err := range deployedOf(ctx, tx, name) {
		if err != nil {
			return err
		}
		if d.Version != number && !slices.Contains(d.Former, number) {
			continue
		}
		row, err := read[suiteRow](ctx, tx, keySuite(d.Place.Suite()))
		if err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
		if err == nil {
			row.Serial, row.Rule = row.Serial+1, ""
			if err := write(tx, keySuite(d.Place.Suite()), row); err != nil {
				return err
			}
		}
		select {
		case k.due <- struct{}{}:
		default:
		}
	}
	return nil
}
