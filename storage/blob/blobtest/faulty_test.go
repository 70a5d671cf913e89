package blobtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/blobtest"
)

func TestFaultyWithoutFaults(t *testing.T) {
	blobtest.Run(t, func(testing.TB) blob.Store { return blobtest.Faulty(blob.NewMemory()) })
}

// TestFaultyFailsEachCall walks a push and all that follows it, with a fault at each place in turn.
func TestFaultyFailsEachCall(t *testing.T) {
	ctx, broken := context.Background(), errors.New("broken")
	content := bytes.Repeat([]byte("0123456789"), 10_000)
	d := digest.FromBytes(content)

	walk := func(s blob.Store) error {
		size, err := s.Append(ctx, "a", 0, bytes.NewReader(content))
		if err != nil {
			if size < 0 || size >= int64(len(content)) {
				t.Errorf("a broken append tells a size of %d", size)
			}
			return err
		}
		if rc, err := s.Resume(ctx, "a", 0); err != nil {
			return err
		} else if _, err := io.ReadAll(rc); err != nil {
			return err
		}
		for _, err := range s.Uploads(ctx) {
			if err != nil {
				return err
			}
		}
		if err := s.Commit(ctx, "a", d); err != nil {
			return err
		}
		if _, err := s.Stat(ctx, d); err != nil {
			return err
		}
		if rc, err := s.Open(ctx, d, 0); err != nil {
			return err
		} else if got, err := io.ReadAll(rc); err != nil {
			if len(got) == 0 || len(got) >= len(content) || !bytes.HasPrefix(content, got) {
				t.Errorf("a broken reader handed out %d bytes", len(got))
			}
			return err
		}
		for _, err := range s.List(ctx) {
			if err != nil {
				return err
			}
		}
		if err := s.Delete(ctx, d); err != nil {
			return err
		}
		return s.Abort(ctx, "a")
	}

	const places = 2 + 2 + 2 + 2 + 1 + 2 + 2 + 2 + 1
	for n := range places + 2 {
		s := blobtest.Faulty(blob.NewMemory())
		s.FailAt(n, broken)
		err := walk(s)
		if fails := 1 <= n && n <= places; fails != (err == broken) || !fails && err != nil {
			t.Errorf("fault at %d: %v", n, err)
		}
		if want := places; err == nil && s.Calls() != want || err != nil && s.Calls() != n {
			t.Errorf("fault at %d: %d calls", n, s.Calls())
		}
	}
}

// TestFaultyAfterTheFact shows that a call may fail although it did what it should.
func TestFaultyAfterTheFact(t *testing.T) {
	ctx, broken := context.Background(), errors.New("broken")
	s := blobtest.Faulty(blob.NewMemory())
	d := digest.FromString("content")
	if _, err := s.Append(ctx, "a", 0, bytes.NewReader([]byte("content"))); err != nil {
		t.Fatal(err)
	}
	s.FailAt(2, broken)
	if err := s.Commit(ctx, "a", d); err != broken {
		t.Fatal(err)
	}
	if _, err := s.Stat(ctx, d); err != nil {
		t.Fatal(err)
	}
	s.FailAt(2, broken)
	if err := s.Delete(ctx, d); err != broken {
		t.Fatal(err)
	}
	if _, err := s.Stat(ctx, d); !errors.Is(err, blob.ErrNotFound) {
		t.Fatal(err)
	}
}
