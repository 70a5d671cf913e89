package registry

import (
	"context"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

type slowCommit struct {
	blob.Store
	before func()
}

func (s *slowCommit) Commit(ctx context.Context, u string, d digest.Digest) error {
	if f := s.before; f != nil {
		s.before = nil
		f()
	}
	return s.Store.Commit(ctx, u, d)
}

var _ io.Reader

func TestSegmentsRace(t *testing.T) {
	a, b, _ := twins(t)
	ctx := t.Context()
	add := func(n int) {
		for range n {
			if err := a.index.Update(ctx, func(tx kv.Tx) error {
				journal.Append(ctx, tx, journal.Event{Action: "x", Result: "ok"})
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		for n, err := a.journal.Seal(ctx); n > 0; n, err = a.journal.Seal(ctx) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	add(10)
	slow := &slowCommit{Store: a.blobs}
	a.blobs = slow
	slow.before = func() {
		add(segmentSize + 10)
		if err := b.saveSegments(ctx, true); err != nil {
			t.Fatal(err)
		}
		add(1)
		if err := b.saveSegments(ctx, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.saveSegments(ctx, true); err != nil {
		t.Fatal(err)
	}
	for k, v := range rows(t, a.index, prefixSegment) {
		if _, err := a.blobs.Stat(ctx, digest.Digest(v)); err != nil {
			t.Errorf("%s: %v", k, err)
		}
	}
	t.Log(rows(t, a.index, keySegment), rows(t, a.index, prefixSegment))
	head, _ := a.journal.Head(ctx)
	body, err := b.journal.Export(ctx, 1, segmentSize+1)
	_ = head
	if err != nil {
		t.Fatal(err)
	}
	if got := rows(t, a.index, prefixSegment)[keySegmentAt(1)]; got != string(digest.FromBytes(body)) {
		t.Errorf("the first segment is not the closed one")
	}
}
