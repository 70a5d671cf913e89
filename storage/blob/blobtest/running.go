package blobtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

var running = []promise{
	{"many uploads run at once, beside readers and a sweeper", func(t *testing.T, s blob.Store) {
		const pushers, pushes = 16, 12
		var wg sync.WaitGroup
		failures := make([]error, pushers)
		for i := range pushers {
			wg.Go(func() {
				for j := range pushes {
					// Every fourth content is pushed by all.
					seed := uint64(1000*i + j)
					if j%4 == 0 {
						seed = uint64(j)
					}
					if failures[i] = pushTorn(s, noiseBytes(seed, int64(20_000+1000*j))); failures[i] != nil {
						return
					}
				}
			})
		}
		done := make(chan struct{})
		swept := make(chan error, 1)
		go func() { swept <- sweepUntil(done, s) }()
		wg.Wait()
		close(done)
		if err := errors.Join(append(failures, <-swept)...); err != nil {
			t.Fatal(err)
		}
		if got, want := len(list(t, s)), pushers*(pushes-pushes/4)+pushes/4; got != want {
			t.Fatalf("listed %d, want %d", got, want)
		}
		if left := uploads(t, s); len(left) > 0 {
			t.Fatalf("left: %v", left)
		}
	}},
}

// pushTorn pushes content in two appends, the second of which is torn at first, and reads it back.
func pushTorn(s blob.Store, content []byte) error {
	name, d, half := newName(), digest.FromBytes(content), len(content)/2
	if _, err := s.Append(background, name, 0, bytes.NewReader(content[:half])); err != nil {
		return err
	}
	torn := io.MultiReader(bytes.NewReader(content[half:half+1000]), iotest.ErrReader(errSource))
	if size, err := s.Append(background, name, int64(half), torn); err != errSource || size != int64(half+1000) {
		return fmt.Errorf("torn append: %d, %w", size, err)
	}
	if _, err := s.Append(background, name, int64(half), bytes.NewReader(content[half:])); err != nil {
		return err
	}
	if err := s.Commit(background, name, d); err != nil {
		return err
	}
	return verify(s, d)
}

// verify reads the content of d and compares it with its digest.
func verify(s blob.Store, d digest.Digest) error {
	rc, err := s.Open(background, d, 0)
	if err != nil {
		return err
	}
	defer rc.Close()
	check := d.Verifier()
	if _, err := io.Copy(check, rc); err != nil {
		return err
	}
	if !check.Verified() {
		return fmt.Errorf("content of %s does not match it", d)
	}
	return nil
}

// sweepUntil lists everything again and again, and verifies what it finds.
func sweepUntil(done <-chan struct{}, s blob.Store) error {
	for {
		select {
		case <-done:
			return nil
		default:
		}
		for info, err := range s.List(background) {
			if err != nil {
				return err
			}
			if err := verify(s, info.Digest); err != nil {
				return err
			}
		}
		for _, err := range s.Uploads(background) {
			if err != nil {
				return err
			}
		}
	}
}
