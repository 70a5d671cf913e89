package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// Attached is a document of a version or of a group, as it was last pushed.
type Attached struct {
	Kind     document.Kind `json:"kind"`
	Digest   digest.Digest `json:"digest"`            // of the manifest that carries it
	Content  digest.Digest `json:"content"`           // of the document itself
	Subject  digest.Digest `json:"subject,omitempty"` // the manifest that it is attached to
	Text     string        `json:"text"`
	By       string        `json:"by"`
	Pushed   time.Time     `json:"pushed"`
	Findings []Finding     `json:"findings,omitempty"`
}

// kindsOfDocuments are the documents that are pushed, by the artifact type and the file name that say so.
var kindsOfDocuments = map[string]document.Kind{
	TypeBuild: document.KindManifest, TypeMetadata: document.KindMetadata, TypeOwnership: document.KindOwnership, TypePolicy: document.KindPolicy,
	"manifest.yaml": document.KindManifest, "metadata.yaml": document.KindMetadata, "ownership.yaml": document.KindOwnership, "policy.yaml": document.KindPolicy,
}

// paper is a document that is being pushed.
type paper struct {
	kind    document.Kind
	text    []byte
	content digest.Digest
	parsed  document.Document
	faults  document.Faults
	pushed  time.Time // when it came, if that was before
}

func (p *paper) file() string { return string(p.kind) + ".yaml" }

// paperOf reads the document that an artifact carries.
func (k *Catalog) paperOf(ctx context.Context, p registry.Push) (*paper, error) {
	layers := p.Manifest.Layers
	if len(layers) != 1 {
		return nil, invalid(p.Repo, fmt.Sprintf("a document is one file, and this artifact has %d; push each document by itself", len(layers)))
	}
	l := layers[0]
	d := &paper{content: l.Digest}
	for _, name := range []string{p.Manifest.Descriptor.ArtifactType, l.MediaType, l.Annotations[ocispec.AnnotationTitle], configType(p.Manifest)} {
		if kind, ok := kindsOfDocuments[name]; ok && d.kind == "" {
			d.kind = kind
		}
	}
	if d.kind == "" {
		return nil, invalid(p.Repo, "it is not said which document this is; name the file manifest.yaml, metadata.yaml, ownership.yaml or policy.yaml")
	}
	if most := int64(d.kind.MaxSize()); l.Size > most {
		return nil, invalid(p.Repo, fmt.Sprintf("%s has %d bytes; it may have %d", d.file(), l.Size, most))
	}
	content, err := p.Open(ctx, l.Digest)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	if d.text, err = io.ReadAll(io.LimitReader(content, int64(d.kind.MaxSize())+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", d.file(), err)
	}
	d.parsed, d.faults = k.parser.Parse(d.kind, d.text)
	return d, nil
}

func configType(m registry.Manifest) string {
	if m.Config == nil {
		return ""
	}
	return m.Config.MediaType
}

// admitDocument judges a document as it comes, by itself and by what it is attached to, if that is here. It is refused with all that is wrong.
func (k *Catalog) admitDocument(ctx context.Context, p registry.Push) (registry.Verdict, error) {
	d, err := k.paperOf(ctx, p)
	if err != nil {
		return registry.Verdict{}, err
	}
	all, denied, err := k.judgeNow(ctx, p, d)
	if err != nil {
		return registry.Verdict{}, err
	}
	if denied {
		return registry.Verdict{}, refused(p.Repo, d.file(), all)
	}
	return registry.Verdict{Record: func(ctx context.Context, tx kv.Tx, now registry.Stored) error {
		row := Attached{Kind: d.kind, Digest: now.Digest, Content: d.content, Text: string(d.text), By: now.By, Pushed: now.Pushed}
		if p.Manifest.Subject != nil {
			row.Subject = p.Manifest.Subject.Digest
		}
		switch d.kind {
		case document.KindOwnership, document.KindPolicy:
			return k.recordOwner(ctx, tx, p, row, d)
		case document.KindManifest, document.KindMetadata:
			return k.recordDocument(ctx, tx, p, row, d)
		}
		return nil
	}}, nil
}

// judgeNow judges a document by itself and, if what it is about is here, by that: so that all faults are told at once. The transaction judges again, by what
// is there then.
func (k *Catalog) judgeNow(ctx context.Context, p registry.Push, d *paper) (all []Finding, denied bool, err error) {
	if IsComponent(p.Repo) && p.Manifest.Subject != nil {
		made, err := k.meant(ctx, k.index, p.Repo, p.Manifest.Subject.Digest, d)
		if err != nil {
			return nil, false, err
		}
		for _, m := range made {
			if all, denied, err = k.judge(ctx, k.index, m.version, m.format, d); err != nil || denied {
				return all, denied, err
			}
		}
		if len(made) > 0 {
			return all, denied, nil
		}
	}
	levels, err := k.levelsFor(ctx, k.index, p.Repo)
	if err != nil {
		return nil, false, err
	}
	all, denied = levels.findings(d.file(), d.faults)
	return all, denied, nil
}

// recordOwner notes who answers for a group, or how grave it takes rules. Both are pushed to the group's own repository, under a tag of their name.
func (k *Catalog) recordOwner(ctx context.Context, tx kv.Tx, p registry.Push, row Attached, d *paper) error {
	if !isGroup(p.Repo) || !slices.Contains(p.Tags, string(d.kind)) {
		return nil
	}
	levels, err := k.levelsFor(ctx, tx, p.Repo)
	if err != nil {
		return err
	}
	row.Findings, _ = levels.findings(d.file(), d.faults)
	if d.kind == document.KindPolicy {
		if err := write(tx, keyPolicy(p.Repo), row); err != nil {
			return err
		}
		return k.reviewGroup(ctx, tx, p.Repo)
	}
	_, err = tx.Get(ctx, keyOwner(p.Repo))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	owned := err == nil
	if err := write(tx, keyOwner(p.Repo), row); err != nil || owned {
		return err
	}
	return k.reviewGroup(ctx, tx, p.Repo)
}

// recordDocument links a document to the versions that it is about, or keeps it until one arrives.
func (k *Catalog) recordDocument(ctx context.Context, tx kv.Tx, p registry.Push, row Attached, d *paper) error {
	if !IsComponent(p.Repo) || p.Manifest.Subject == nil {
		return nil
	}
	made, err := k.meant(ctx, tx, p.Repo, row.Subject, d)
	if err != nil {
		return err
	}
	if len(made) == 0 {
		return write(tx, keyWaiting(p.Repo, string(row.Subject), string(row.Digest)), row)
	}
	for _, m := range made {
		all, denied, err := k.judge(ctx, tx, m.version, m.format, d)
		if err != nil {
			return err
		}
		if denied {
			return refused(p.Repo, d.file(), all)
		}
		row.Findings = all
		if err := link(tx, m.version, m.format, row); err != nil {
			return err
		}
		if err := k.review(ctx, tx, m.version); err != nil {
			return err
		}
	}
	return nil
}

// made is a version that a manifest is, and of which format.
type made struct {
	version Version
	format  Kind
}

// meant returns the versions that a document is about which is attached to a manifest: all that the manifest is, or, of a manifest.yaml, the one that it
// names. If it names none of them it is about the highest: that is the fault to be told.
func (k *Catalog) meant(ctx context.Context, v kv.View, repo string, subject digest.Digest, d *paper) ([]made, error) {
	all, err := madeOf(ctx, v, repo, subject)
	manifest, ok := d.parsed.(*document.Manifest)
	if err != nil || len(all) < 2 || d.kind != document.KindManifest {
		return all, err
	}
	for _, m := range all {
		if ok && sameVersion(manifest.Version, m.version.Version, m.version.Formats[m.format]) {
			return []made{m}, nil
		}
	}
	return all[:1], nil
}

// link lets a version have a document.
func link(tx kv.Tx, v Version, format Kind, row Attached) error {
	what := string(format)
	if row.Kind == document.KindMetadata {
		what = "metadata"
	}
	return write(tx, keyDocument(v.Component, v.Version, what), row)
}

// unlink takes a document from the versions that it is about, if the manifest that is being deleted is one.
func (k *Catalog) unlink(ctx context.Context, tx kv.Tx, repo string, was registry.Stored) error {
	m, err := registry.ManifestIn(ctx, tx, was)
	if err != nil || m.Subject == nil {
		return err
	}
	tx.Delete(keyWaiting(repo, string(m.Subject.Digest), string(was.Digest)))
	all, err := madeOf(ctx, tx, repo, m.Subject.Digest)
	if err != nil {
		return err
	}
	for _, of := range all {
		for _, what := range []string{string(of.format), "metadata"} {
			row, err := read[Attached](ctx, tx, keyDocument(repo, of.version.Version, what))
			if errors.Is(err, ErrUnknown) || err == nil && row.Digest != was.Digest {
				continue
			}
			if err != nil {
				return err
			}
			tx.Delete(keyDocument(repo, of.version.Version, what))
			if err := k.review(ctx, tx, of.version); err != nil {
				return err
			}
		}
	}
	return nil
}

// arrived links the documents that were waiting for a manifest. They are here already, so nothing is refused: what is wrong is a finding.
func (k *Catalog) arrived(ctx context.Context, tx kv.Tx, v Version, format Kind, d digest.Digest) error {
	from, to := kv.Prefix(prefixWaiting + v.Component + "!" + string(d) + "!")
	var waiting []Attached
	for pair, err := range tx.Scan(ctx, from, to) {
		var row Attached
		if err == nil {
			row, err = decode[Attached](pair)
		}
		if err != nil {
			return err
		}
		tx.Delete(pair.Key)
		waiting = append(waiting, row)
	}
	slices.SortStableFunc(waiting, func(a, b Attached) int { return a.Pushed.Compare(b.Pushed) }) // the last one counts
	for _, row := range waiting {
		parsed, faults := k.parser.Parse(row.Kind, []byte(row.Text))
		all, _, err := k.judge(ctx, tx, v, format, &paper{kind: row.Kind, text: []byte(row.Text), content: row.Content, parsed: parsed, faults: faults, pushed: row.Pushed})
		if err != nil {
			return err
		}
		row.Findings = all
		if err := link(tx, v, format, row); err != nil {
			return err
		}
	}
	return nil
}

// shared links the metadata.yaml that another version of the same manifest has: it is attached to that manifest, so it is about this version as well.
func (k *Catalog) shared(ctx context.Context, tx kv.Tx, v Version, format Kind, d digest.Digest) error {
	if _, err := tx.Get(ctx, keyDocument(v.Component, v.Version, "metadata")); !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	others, err := madeOf(ctx, tx, v.Component, d)
	if err != nil {
		return err
	}
	for _, other := range others {
		row, err := read[Attached](ctx, tx, keyDocument(v.Component, other.version.Version, "metadata"))
		if errors.Is(err, ErrUnknown) || err == nil && row.Subject != d {
			continue
		}
		if err != nil {
			return err
		}
		if err := write(tx, keyWaiting(v.Component, string(d), string(row.Digest)), row); err != nil {
			return err
		}
		return k.arrived(ctx, tx, v, format, d)
	}
	return nil
}

// madeOf returns the versions that a manifest is, the highest first.
func madeOf(ctx context.Context, v kv.View, repo string, d digest.Digest) (all []made, err error) {
	prefix := keyMade(repo, string(d), "")
	from, to := kv.Prefix(prefix)
	for pair, err := range v.Scan(ctx, from, to) {
		if err != nil {
			return nil, err
		}
		row, err := read[Version](ctx, v, keyVersion(repo, strings.TrimPrefix(pair.Key, prefix)))
		if errors.Is(err, ErrUnknown) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// Of packages and files, an earlier manifest of the version counts as well.
		all = append(all, made{row, Kind(pair.Value)})
	}
	slices.SortFunc(all, func(a, b made) int {
		one, err1 := version.Parse(a.version.Version)
		other, err2 := version.Parse(b.version.Version)
		if err1 != nil || err2 != nil {
			return strings.Compare(a.version.Version, b.version.Version)
		}
		return other.Compare(one)
	})
	return all, nil
}
