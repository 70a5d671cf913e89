package artifacts

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	if kind == Docker || kind == Deb || kind == Generic || kind == Release {
		if err := seen.look(ctx, p); err != nil {
			return registry.Verdict{}, err
		}
	}
	return registry.Verdict{
		Tag: func(ctx context.Context, tx kv.Tx, tag string, was *registry.Stored) (bool, error) {
			return keepsPromise(ctx, tx, p.Repo, tag, seen.content, was)
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

// keepsPromise tells whether a tag that promises something stays where it is, since it names this content already. Other content is refused.
func keepsPromise(ctx context.Context, tx kv.Tx, repo, tag, content string, was *registry.Stored) (stays bool, err error) {
	t, promises := version.ParseTag(tag)
	if !promises {
		return false, nil
	}
	if was == nil {
		before, err := read[tombstone](ctx, tx, keyGone(repo, tag))
		if errors.Is(err, ErrUnknown) || err == nil && before.Content == content {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return false, taken(repo, tag, t, "was deleted, and named", before.By, before.Pushed)
	}
	m, err := registry.ManifestIn(ctx, tx, *was)
	if err != nil {
		return false, err
	}
	if contentOf(m) == content {
		return true, nil
	}
	return false, taken(repo, tag, t, "names", was.By, was.Pushed)
}

// taken refuses to let a tag that promises something name other content.
func taken(repo, tag string, t version.Tag, does, by string, when time.Time) error {
	next := "push it under another tag"
	if f, ok := formats[t.Kind]; ok {
		next = "the next version that is free may be " + tagOf(f, t.Version.NextPatch())
	}
	return &registry.Error{Code: registry.Denied, Detail: map[string]string{
		"name": repo, "tag": tag, "by": by, "pushed": when.UTC().Format(time.RFC3339),
		"hint": fmt.Sprintf("%s %s other content, and never names anything else; %s", tag, does, next),
	}}
}

// tombstone is what a deleted tag named.
type tombstone struct {
	Content string    `json:"content"`
	Digest  string    `json:"digest"`
	By      string    `json:"by"`
	Pushed  time.Time `json:"pushed"`
	Deleted time.Time `json:"deleted"`
}

// Remove implements registry.Admission: a deleted version leaves a tombstone, so that its number never names other content.
func (k *Catalog) Remove(ctx context.Context, tx kv.Tx, repo, tag string, was registry.Stored) error {
	if !IsComponent(repo) {
		return nil
	}
	if tag == "" {
		return k.forget(ctx, tx, repo, was)
	}
	t, promises := version.ParseTag(tag)
	if !promises || t.Kind == version.TagLatest || t.Kind == version.TagDomain {
		return nil
	}
	m, err := registry.ManifestIn(ctx, tx, was)
	if err != nil {
		return err
	}
	if err := write(tx, keyGone(repo, tag), tombstone{contentOf(m), string(was.Digest), was.By, was.Pushed, k.now().UTC()}); err != nil {
		return err
	}
	if format, ok := formats[t.Kind]; ok {
		return k.drop(ctx, tx, repo, t.Version.String(), format)
	}
	return nil
}
