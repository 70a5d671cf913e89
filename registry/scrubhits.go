package registry

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/kv"
)

// Hit is an image that is made of damaged content.
type Hit struct {
	Repo   string        `json:"repo"`
	Digest digest.Digest `json:"digest"`
	Tags   []string      `json:"tags,omitempty"`
}

const (
	maxHits    = 100  // images that are told of
	maxVisited = 2000 // manifests that are looked at for them
	maxHitTags = 20   // of each
)

// hits returns the images that are made of d: the manifests that name it, those that name these, and so on. What merely refers to an image is not made of it. more
// says that there are others.
func hits(ctx context.Context, view kv.View, d digest.Digest) (all []Hit, more bool, err error) {
	type node struct {
		repo string
		d    digest.Digest
	}
	seen := map[node]bool{}
	if all, err = ownHits(ctx, view, d); err != nil {
		return nil, false, err
	}
	for _, h := range all {
		seen[node{h.Repo, h.Digest}] = true
	}
	next := []node{{"", d}} // in any repository
	for len(next) > 0 {
		child := next[0]
		next = next[1:]
		prefix := of(prefixEdge, string(child.d))
		if child.repo != "" {
			prefix = of(prefix, child.repo)
		}
		from, to := kv.Prefix(prefix)
		for pair, err := range view.Scan(ctx, from, to) {
			if err != nil {
				return nil, false, err
			}
			repo, man := child.repo, strings.TrimPrefix(pair.Key, prefix)
			if repo == "" {
				repo, man, _ = strings.Cut(man, "!")
			}
			n := node{repo, digest.Digest(man)}
			if seen[n] {
				continue
			}
			if len(all) == maxHits || len(seen) == maxVisited {
				return all, true, nil
			}
			made, err := madeOf(ctx, view, n.repo, n.d, child.d)
			if err != nil {
				return nil, false, err
			}
			if !made {
				continue
			}
			seen[n] = true
			h, err := hit(ctx, view, n.repo, n.d)
			if err != nil {
				return nil, false, err
			}
			all, next = append(all, h), append(next, n)
		}
	}
	slices.SortFunc(all, func(a, b Hit) int { return strings.Compare(a.Repo+"!"+string(a.Digest), b.Repo+"!"+string(b.Digest)) })
	return all, false, nil
}

// ownHits are the repositories that have d itself as a manifest.
func ownHits(ctx context.Context, view kv.View, d digest.Digest) (all []Hit, err error) {
	prefix := of(prefixMan, string(d))
	from, to := kv.Prefix(prefix)
	for pair, err := range view.Scan(ctx, from, to) {
		if err != nil || len(all) == maxHits {
			return all, err
		}
		h, err := hit(ctx, view, strings.TrimPrefix(pair.Key, prefix), d)
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}

func hit(ctx context.Context, view kv.View, repo string, d digest.Digest) (Hit, error) {
	h := Hit{Repo: repo, Digest: d}
	prefix := of(prefixRev, repo, string(d))
	from, to := kv.Prefix(prefix)
	for pair, err := range view.Scan(ctx, from, to) {
		if err != nil || len(h.Tags) == maxHitTags {
			return h, err
		}
		h.Tags = append(h.Tags, strings.TrimPrefix(pair.Key, prefix))
	}
	return h, nil
}

// madeOf tells whether a manifest of the repository needs child. What cannot be read is taken to.
func madeOf(ctx context.Context, view kv.View, repo string, man, child digest.Digest) (bool, error) {
	body, err := view.Get(ctx, keyMan(man))
	if errors.Is(err, kv.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	row, err := view.Get(ctx, keyRev(repo, man))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return false, err
	}
	s, _ := parseStored(row)
	m, _ := readManifest(s.MediaType, man, body)
	return m.Subject == nil || m.Subject.Digest != child, nil
}
