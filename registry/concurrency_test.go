package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"
)

// crowd is what clients do at once in a few repositories, with contents that they share.
type crowd struct {
	r      *Registry
	repos  []string
	blobs  [][]byte
	images [][]byte // one for each pair of blobs that follow each other
}

func newCrowd(r *Registry) *crowd {
	c := &crowd{r: r, repos: []string{"crowd/a", "crowd/b", "crowd/c"}}
	for i, size := range []int{2, 900, smallBlob, smallBlob + 1, 100_000, 300_000} {
		c.blobs = append(c.blobs, octets(fmt.Sprint("crowd", i), size))
	}
	for i := range c.blobs {
		c.images = append(c.images, imageOf(c.blobs[i], [][]byte{c.blobs[(i+1)%len(c.blobs)]}))
	}
	return c
}

// admitted are answers that a client may get when others are at work.
func admitted(err error) bool {
	switch Code(err) {
	case BlobUnknown, ManifestUnknown, ManifestBlobUnknown, NameUnknown, Busy, RangeInvalid, BlobUploadUnknown:
		return true
	}
	return err == nil
}

func (c *crowd) client(ctx context.Context, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 60 {
		repo, other := c.repos[rng.IntN(len(c.repos))], c.repos[rng.IntN(len(c.repos))]
		i := rng.IntN(len(c.blobs))
		content, body := c.blobs[i], c.images[i]
		d, tag := digest.FromBytes(content), fmt.Sprint("t", rng.IntN(3))
		var err error
		what := ""
		switch rng.IntN(11) {
		case 0, 1:
			what, err = "push", push(ctx, c.r, repo, content)
		case 2:
			what, err = "upload", pieceByPiece(ctx, c.r, repo, content, 1+rng.IntN(4), digest.SHA256, d)
		case 3:
			what = "mount"
			_, err = c.r.Mount(ctx, repo, d, "", func(r string) bool { return r == other })
		case 4, 5, 6:
			what = "put"
			if err = push(ctx, c.r, repo, content); err == nil {
				err = push(ctx, c.r, repo, c.blobs[(i+1)%len(c.blobs)])
			}
			if err == nil {
				_, err = c.r.PutManifest(ctx, Put{Repo: repo, Ref: tag, Body: body})
			}
		case 7:
			what, err = "pull", c.pull(ctx, repo, tag)
		case 8:
			what = "read"
			var got []byte
			if got, err = readBlob(ctx, c.r, repo, d); err == nil && !bytes.Equal(got, content) {
				return fmt.Errorf("blob %s of %s has %d other bytes", d, repo, len(got))
			}
		case 9:
			what, err = "delete", errors.Join(hide(c.r.DeleteTag(ctx, repo, tag, nil)), hide(c.r.DeleteManifest(ctx, repo, digest.FromBytes(body), nil)))
		case 10:
			what, err = "delete blob", c.r.DeleteBlob(ctx, repo, d)
		}
		if !admitted(err) {
			return fmt.Errorf("%s in %s: %w", what, repo, err)
		}
	}
	return nil
}

// hide passes over what others make of it.
func hide(err error) error {
	if admitted(err) {
		return nil
	}
	return err
}

// pull resolves a tag and reads what it names; a manifest that was resolved is there in full, whoever moves the tag.
func (c *crowd) pull(ctx context.Context, repo, tag string) error {
	desc, body, err := c.r.Manifest(ctx, repo, tag)
	if err != nil {
		return err
	}
	if digest.FromBytes(body) != desc.Digest || int64(len(body)) != desc.Size {
		return fmt.Errorf("tag %s names %s, its bytes have %s", tag, desc.Digest, digest.FromBytes(body))
	}
	for _, content := range c.blobs {
		got, err := readBlob(ctx, c.r, repo, digest.FromBytes(content))
		if !admitted(err) || err == nil && !bytes.Equal(got, content) {
			return fmt.Errorf("blob %s: %d bytes, %w", digest.FromBytes(content), len(got), err)
		}
	}
	return nil
}

// TestCrowd lets clients and the background work run at once, on both kinds of stores. Whatever could be read matched its digest, and what is
// left is sound.
func TestCrowd(t *testing.T) {
	for _, place := range []string{"memory", "files"} {
		t.Run(place, func(t *testing.T) {
			before := runtime.NumGoroutine()
			r := open(t)
			if place == "files" {
				r = open(t, onDisk(t), onBolt(t))
			}
			c := newCrowd(r)
			ctx, stop := context.WithCancel(t.Context())
			var background, clients sync.WaitGroup
			background.Go(func() {
				for ctx.Err() == nil {
					if _, err := r.Settle(ctx); err != nil && ctx.Err() == nil {
						t.Errorf("settle: %v", err)
					}
					if _, err := r.Journal().Seal(ctx); err != nil && ctx.Err() == nil {
						t.Errorf("seal: %v", err)
					}
					if err := r.saveSegments(ctx, true); err != nil && ctx.Err() == nil {
						t.Errorf("save segments: %v", err)
					}
					if _, err := r.ExpireUploads(ctx); err != nil && ctx.Err() == nil {
						t.Errorf("expire: %v", err)
					}
					time.Sleep(time.Millisecond)
				}
			})
			for i := range 8 {
				clients.Go(func() {
					if err := c.client(context.Background(), uint64(i)); err != nil {
						t.Error(err)
					}
				})
			}
			clients.Wait()
			stop()
			background.Wait()
			whole(t, r, "afterwards")
			saveAll(t, r)
			verified(t, r.blobs, r.index)
			if left := rows(t, r.uploads, prefixUpload); len(left) > 0 {
				t.Errorf("%d uploads are left", len(left))
			}
			if place == "memory" {
				quiet(t, before)
			}
		})
	}
}

// TestOneUploadManyWriters: all send chunks to the same upload without asking each other. Each byte is where its writer was told that it is.
func TestOneUploadManyWriters(t *testing.T) {
	const chunk, each = 3000, 12
	r := open(t)
	up, err := r.Begin(t.Context(), "a", "")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	want := make([]byte, 0, 6*each*chunk)
	placed := map[int64][]byte{}
	var writers sync.WaitGroup
	for w := range 6 {
		writers.Go(func() {
			for i := range each {
				content := octets(fmt.Sprint(w, "-", i), chunk)
				for range 500 {
					now, err := r.Upload(t.Context(), "a", up.ID)
					if err != nil {
						t.Error(err)
						return
					}
					size, err := r.Append(t.Context(), "a", up.ID, now.Size, chunk, iotest.HalfReader(bytes.NewReader(content)))
					if Code(err) == RangeInvalid || Code(err) == Busy {
						continue
					}
					if err != nil || size != now.Size+chunk {
						t.Errorf("append at %d: %d, %v", now.Size, size, err)
						return
					}
					mu.Lock()
					placed[now.Size] = content
					mu.Unlock()
					break
				}
			}
		})
	}
	writers.Wait()
	for at := int64(0); placed[at] != nil; at += chunk {
		want = append(want, placed[at]...)
	}
	if len(want) != len(placed)*chunk {
		t.Errorf("%d chunks were taken, %d bytes of them follow each other", len(placed), len(want))
	}
	if err := r.Finish(t.Context(), "a", up.ID, int64(len(want)), -1, nil, digest.FromBytes(want)); err != nil {
		t.Error(err)
	}
	if got, err := readBlob(t.Context(), r, "a", digest.FromBytes(want)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
