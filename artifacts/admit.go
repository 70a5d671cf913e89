package artifacts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// Admit implements registry.Admission: it recognises what is pushed to a component, keeps the promises of its tags, and records it.
//
//   - A version's tag (1.0.2, deb-1.0.2, generic-1.0.2, release-1.0.2) names artifacts of its format only, and the same content for ever: pushing that content
//     again is no change, pushing other content is refused, also after the tag was deleted.
//   - commit-<sha> is set by the registry, from the image's label, and names the same for ever.
//   - latest and the domain tags (cloud.prod) are not pushed: the registry moves them.
//   - Every other tag is scratch and moves freely.
func (k *Catalog) Admit(ctx context.Context, p registry.Push) (registry.Verdict, error) {
	if own, ok := ctx.Value(ownKey{}).(own); ok {
		if own.switching == nil {
			return registry.Verdict{}, nil
		}
		return registry.Verdict{Record: own.record(k)}, nil
	}
	if err := Reserved(p.Repo); err != nil {
		return registry.Verdict{}, err
	}
	kind := Classify(p.Bytes)
	if kind == Document && (IsComponent(p.Repo) || isGroup(p.Repo)) {
		if err := k.fitAll(p, kind); err != nil {
			return registry.Verdict{}, err
		}
		return k.admitDocument(ctx, p)
	}
	if !IsComponent(p.Repo) {
		return registry.Verdict{}, nil
	}
	if err := k.fitAll(p, kind); err != nil {
		return registry.Verdict{}, err
	}
	seen := sighting{kind: kind, content: contentOf(p.Manifest)}
	if kind == Deb {
		if err := k.known(ctx, p, &seen); err != nil {
			return registry.Verdict{}, err
		}
	}
	if kind == Docker || kind == Deb || kind == Generic || kind == Release {
		if err := seen.look(ctx, p); err != nil {
			return registry.Verdict{}, err
		}
	}
	return registry.Verdict{
		Tag: func(ctx context.Context, tx kv.Tx, tag string, was *registry.Stored) (bool, error) {
			return k.keepsPromise(ctx, tx, p, tag, seen.content, was)
		},
		Record: func(ctx context.Context, tx kv.Tx, now registry.Stored) error { return k.record(ctx, tx, p, seen, now) },
	}, nil
}

// fitAll refuses tags that promise something else than what is pushed.
func (k *Catalog) fitAll(p registry.Push, kind Kind) error {
	if !IsComponent(p.Repo) {
		return nil
	}
	for _, tag := range p.Tags {
		if err := fits(p.Repo, tag, kind); err != nil {
			return err
		}
	}
	return nil
}

// fits refuses a tag that promises something else than what is pushed.
func fits(repo, tag string, kind Kind) error {
	t, promises := version.ParseTag(tag)
	if !promises {
		return nil
	}
	refuse := func(hint string) error {
		return &registry.Error{Code: registry.Denied, Detail: map[string]string{"name": repo, "tag": tag, "kind": string(kind), "hint": hint}}
	}
	switch t.Kind {
	case version.TagLatest:
		return refuse("latest follows the highest version that is known good, by itself; push the version under its number")
	case version.TagDomain:
		return refuse("what is deployed in " + tag + " is said by a promotion, not by a push")
	case version.TagCommit:
		return nil
	}
	want := formats[t.Kind]
	if kind == want || kind == Other && want == Docker {
		return nil
	}
	if right, ok := map[Kind]bool{Docker: true, Deb: true, Generic: true, Release: true}[kind]; ok && right {
		return refuse(fmt.Sprintf("this is of kind %s; push it under %s", kind, tagOf(kind, t.Version)))
	}
	return refuse(fmt.Sprintf("%s names artifacts of kind %s; push this under another tag, or attach it to what it is about", tag, want))
}

// keepsPromise tells whether a tag that promises something stays where it is, since it names this content already. Other content is refused, except where it
// adds files to a version that is deployed nowhere.
func (k *Catalog) keepsPromise(ctx context.Context, tx kv.Tx, p registry.Push, tag, content string, was *registry.Stored) (stays bool, err error) {
	t, promises := version.ParseTag(tag)
	if !promises {
		return false, nil
	}
	if err := k.otherSpelling(ctx, tx, p.Repo, tag, t, content); err != nil {
		return false, err
	}
	if was == nil {
		before, err := read[tombstone](ctx, tx, keyGone(p.Repo, tag))
		if errors.Is(err, ErrUnknown) || err == nil && before.Content == content {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return false, taken(ctx, tx, p.Repo, tag, t, "was deleted, and named", before.By, before.Pushed)
	}
	m, err := registry.ManifestIn(ctx, tx, *was)
	if err != nil {
		return false, err
	}
	if contentOf(m) == content {
		return true, nil
	}
	if (t.Kind == version.TagDeb || t.Kind == version.TagGeneric) && grows(m, p.Manifest) {
		places, err := deployedWhere(ctx, tx, p.Repo, t.Version.String(), true)
		if err != nil {
			return false, err
		}
		if len(places) > 0 {
			return false, &registry.Error{Code: registry.Denied, Detail: map[string]string{"name": p.Repo, "tag": tag,
				"hint": "files are added to a version until it is deployed, and it is or was deployed in " + strings.Join(places, ", ") + "; push a new version"}}
		}
		return false, nil
	}
	return false, taken(ctx, tx, p.Repo, tag, t, "names", was.By, was.Pushed)
}

// otherSpelling refuses other content for a version that is there under another spelling of its tag: v1.0.2 is 1.0.2.
func (k *Catalog) otherSpelling(ctx context.Context, v kv.View, repo, tag string, t version.Tag, content string) error {
	row, err := read[Version](ctx, v, keyVersion(repo, t.Version.String()))
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	f, ok := row.Formats[formats[t.Kind]]
	if err != nil || !ok || f.Tag == tag || f.Content == content {
		return err
	}
	return taken(ctx, v, repo, f.Tag, t, "is the same version, and names", f.By, f.Pushed)
}

// grows tells whether an artifact has all files of another one, under the same names, and more under other names.
func grows(from, to registry.Manifest) bool {
	names := map[string]digest.Digest{}
	for _, l := range to.Layers {
		name := l.Annotations[ocispec.AnnotationTitle]
		if _, twice := names[name]; twice || name == "" {
			return false
		}
		names[name] = l.Digest
	}
	for _, l := range from.Layers {
		if name := l.Annotations[ocispec.AnnotationTitle]; name == "" || names[name] != l.Digest {
			return false
		}
	}
	return len(to.Layers) > len(from.Layers)
}

// deployedWhere returns the places where a version is deployed, or, with former, was before and may be again.
func deployedWhere(ctx context.Context, v kv.View, name, number string, former bool) (places []string, err error) {
	for d, err := range deployedOf(ctx, v, name) {
		if err != nil {
			return nil, err
		}
		if d.Version == number || former && slices.Contains(d.Former, number) {
			places = append(places, d.Place.Tag())
		}
	}
	return places, nil
}

// taken refuses to let a tag that promises something name other content.
func taken(ctx context.Context, v kv.View, repo, tag string, t version.Tag, does, by string, when time.Time) error {
	next := "push it under another tag"
	if f, ok := formats[t.Kind]; ok {
		free, err := nextFree(ctx, v, repo, t.Version)
		if err != nil {
			return err
		}
		next = "the next version that is free is " + tagOf(f, free)
	}
	return &registry.Error{Code: registry.Denied, Detail: map[string]string{
		"name": repo, "tag": tag, "by": by, "pushed": when.UTC().Format(time.RFC3339),
		"hint": fmt.Sprintf("%s %s other content, which %s pushed at %s, and never names anything else; %s", tag, does, by, when.UTC().Format(time.RFC3339), next),
	}}
}

// maxNext is how many numbers are tried for one that is free.
const maxNext = 1000

// nextFree returns the next patch release that was never there, in any format.
func nextFree(ctx context.Context, v kv.View, repo string, of version.Version) (version.Version, error) {
	next := of.NextPatch()
	for range maxNext {
		keys := []string{keyVersion(repo, next.String())}
		for _, f := range formats {
			keys = append(keys, keyGone(repo, tagOf(f, next)))
		}
		free := true
		for _, key := range keys {
			switch _, err := v.Get(ctx, key); {
			case err == nil:
				free = false
			case !errors.Is(err, kv.ErrNotFound):
				return next, err
			}
		}
		if free {
			return next, nil
		}
		next = next.NextPatch()
	}
	return next, nil
}

// tombstone is what a deleted tag named.
type tombstone struct {
	Content string    `json:"content"`
	Digest  string    `json:"digest"`
	By      string    `json:"by"`
	Pushed  time.Time `json:"pushed"`
	Deleted time.Time `json:"deleted"`
}

// Remove implements registry.Admission: a deleted version leaves a tombstone, so that its number never names other content. What is deployed is not deleted.
func (k *Catalog) Remove(ctx context.Context, tx kv.Tx, repo, tag string, was registry.Stored) error {
	if _, ours := ctx.Value(ownKey{}).(own); ours {
		return nil
	}
	if err := Reserved(repo); err != nil {
		return err
	}
	keep := func(hint string) error {
		return &registry.Error{Code: registry.Denied, Detail: map[string]string{"name": repo, "tag": tag, "hint": hint}}
	}
	if isGroup(repo) && (tag == "ownership" || tag == "policy") {
		return keep("push another " + tag + ".yaml in its place")
	}
	if !IsComponent(repo) {
		return nil
	}
	if tag == "" {
		return k.unlink(ctx, tx, repo, was) // its tags are asked about one by one
	}
	t, promises := version.ParseTag(tag)
	format, versioned := formats[t.Kind]
	switch {
	case !promises || t.Kind == version.TagLatest:
		return nil
	case t.Kind == version.TagDomain:
		return keep("what is deployed in " + tag + " is withdrawn, not deleted: entrepot withdraw " + repo + "@" + tag)
	case versioned:
		places, err := deployedWhere(ctx, tx, repo, t.Version.String(), false)
		if err != nil {
			return err
		}
		if len(places) > 0 {
			return keep("it is deployed in " + strings.Join(places, ", ") + "; promote another version there first")
		}
	}
	m, err := registry.ManifestIn(ctx, tx, was)
	if err != nil {
		return err
	}
	if err := write(tx, keyGone(repo, tag), tombstone{contentOf(m), string(was.Digest), was.By, was.Pushed, k.now().UTC()}); err != nil {
		return err
	}
	if versioned {
		return k.drop(ctx, tx, repo, t.Version.String(), format)
	}
	return nil
}

// reservedNames are first parts of repository names that belong to the registry itself.
var reservedNames = []string{"apt", "index", "tree", "api", "auth", "components"}

// Reserved refuses changes of repositories that the registry makes itself.
func Reserved(repo string) error {
	first, _, _ := strings.Cut(repo, "/")
	if !slices.Contains(reservedNames, first) {
		return nil
	}
	return &registry.Error{Code: registry.Denied, Detail: map[string]string{"name": repo, "hint": "what is below " + first + "/ is made by the registry itself; choose another name"}}
}
