package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/blobtest"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
)

// medium is a registry whose floors fail on command.
type medium struct {
	clock  clock
	blobs  *blobtest.FaultyStore
	index  *kvtest.FaultyDB
	points map[string]points
	reg    *Registry
}

// points are where a floor can fail.
type points interface {
	FailAt(n int, err error)
	Calls() int
}

func newMedium(t testing.TB) *medium {
	late, uploads := kvtest.Late(kv.NewMemory()), kvtest.Faulty(kv.NewMemory())
	m := &medium{blobs: blobtest.Faulty(blob.NewMemory()), index: kvtest.Faulty(late)}
	m.points = map[string]points{"index": m.index, "index, after the commit": late, "uploads": uploads, "blobs": m.blobs}
	m.reg = open(t, func(c *Config) { c.Blobs, c.Index, c.Uploads, c.Now = m.blobs, m.index, uploads, m.clock.now })
	m.failAt("", 0, nil)
	return m
}

// floors are the places where failAt can let something fail.
var floors = []string{"index", "index, after the commit", "uploads", "blobs"}

// failAt lets the n-th call of a floor fail, and nothing else; "" lets nothing fail.
func (m *medium) failAt(floor string, n int, err error) {
	for name, p := range m.points {
		if p.FailAt(0, nil); name == floor {
			p.FailAt(n, err)
		}
	}
}

func (m *medium) calls(floor string) int { return m.points[floor].Calls() }

// story is a scenario under way: what it was promised, and what went wrong.
type story struct {
	t        testing.TB
	m        *medium
	promises map[string]func() error // what must hold now; a promise that was made again or taken back replaces the one before
	failed   []failure
}

type failure struct {
	step       string
	err        error
	background bool // the error does not come from a method that answers clients
}

const (
	inA = "fault/a"
	inB = "fault/b"
)

var (
	faultConfig = []byte(`{"a":"config"}`)
	faultSmall  = octets("small", 700)
	faultLarge  = octets("large", 3*smallBlob)
	faultChunks = octets("chunks", 2*smallBlob+11)
	faultPieces = octets("pieces", 900)
	faultImage1 = imageOf(faultConfig, [][]byte{faultSmall, faultLarge})
	faultImage2 = imageOf(faultConfig, [][]byte{faultChunks})
	faultIndex  = indexOf(faultImage1, faultImage2)
	faultRefers = referrerOf(faultImage1, "application/x-note", faultConfig)
)

// step does one thing. If it succeeds, kept becomes a promise under that name; if it fails, what was promised before is no longer sure.
func (s *story) step(name, subject string, do func(ctx context.Context) error, kept func() error) {
	if err := do(context.Background()); err != nil {
		s.failed = append(s.failed, failure{name, err, strings.HasPrefix(subject, "(")})
		delete(s.promises, subject)
		return
	}
	s.promises[subject] = kept
}

func (s *story) blobIs(repo string, content []byte) (string, func() error) {
	d := digest.FromBytes(content)
	return "blob " + repo + string(d), func() error {
		got, err := readBlob(context.Background(), s.m.reg, repo, d)
		if err == nil && !bytes.Equal(got, content) {
			err = fmt.Errorf("blob %s of %s: %d other bytes", d, repo, len(got))
		}
		return err
	}
}

func (s *story) manifestIs(repo, ref string, body []byte) (string, func() error) {
	return "manifest " + repo + ref, func() error {
		_, got, err := s.m.reg.Manifest(context.Background(), repo, ref)
		if err == nil && !bytes.Equal(got, body) {
			err = fmt.Errorf("manifest %s of %s is %s", ref, repo, got)
		}
		return err
	}
}

// absent promises the opposite of what it is given.
func absent(subject string, is func() error) (string, func() error) {
	return subject, func() error {
		err := is()
		if code := Code(err); code == BlobUnknown || code == ManifestUnknown {
			return nil
		}
		return fmt.Errorf("%s is there, though deleted (%v)", subject, err)
	}
}

func (s *story) pushBlob(repo string, content []byte) {
	subject, is := s.blobIs(repo, content)
	s.step("push blob", subject, func(ctx context.Context) error { return push(ctx, s.m.reg, repo, content) }, is)
}

// upload pushes a blob in pieces that end where cuts say; what lies beyond the last goes with the closing request.
func (s *story) upload(repo string, content []byte, cuts ...int) {
	r := s.m.reg
	subject, is := s.blobIs(repo, content)
	s.step("upload blob", subject, func(ctx context.Context) error {
		up, err := r.Begin(ctx, repo, "")
		if err != nil {
			return err
		}
		from := 0
		for _, to := range cuts {
			if _, err := r.Append(ctx, repo, up.ID, int64(from), int64(to-from), bytes.NewReader(content[from:to])); err != nil {
				return err
			}
			from = to
		}
		rest := content[from:]
		if len(rest) == 0 {
			return r.Finish(ctx, repo, up.ID, -1, -1, nil, digest.FromBytes(content))
		}
		return r.Finish(ctx, repo, up.ID, int64(from), int64(len(rest)), bytes.NewReader(rest), digest.FromBytes(content))
	}, is)
}

func (s *story) put(repo, ref string, body []byte, tags ...string) {
	subject, is := s.manifestIs(repo, ref, body)
	s.step("put manifest "+ref, subject, func(ctx context.Context) error {
		_, err := s.m.reg.PutManifest(ctx, Put{Repo: repo, Ref: ref, Tags: tags, Body: body})
		return err
	}, is)
	for _, tag := range tags {
		subject, is := s.manifestIs(repo, tag, body)
		if len(s.failed) > 0 {
			delete(s.promises, subject)
		} else {
			s.promises[subject] = is
		}
	}
}

func (s *story) background(name string, do func(ctx context.Context) error) {
	s.step(name, "("+name+")", do, func() error { return nil })
}

// read is a step that promises nothing.
func (s *story) read(name string, do func(ctx context.Context) error) {
	s.step(name, name, do, func() error { return nil })
}

// play is the whole scenario: everything that changes a registry, and reads between.
func (s *story) play() {
	r, d := s.m.reg, digest.FromBytes
	s.pushBlob(inA, faultConfig)
	s.pushBlob(inA, faultSmall)
	s.pushBlob(inA, faultLarge)
	s.upload(inA, faultChunks, 10_000, 20_000, 30_000)
	s.upload(inA, faultPieces, 300, 900)
	subject, is := s.blobIs(inB, faultLarge)
	s.step("mount", subject, func(ctx context.Context) error {
		mounted, err := r.Mount(ctx, inB, d(faultLarge), "", func(string) bool { return true })
		if err == nil && !mounted {
			err = errNothingToMount
		}
		return err
	}, is)
	s.put(inA, "1.0", faultImage1)
	s.put(inA, string(d(faultImage2)), faultImage2, "2.0", "latest")
	s.put(inA, "1.0", faultImage2) // moves
	s.put(inA, "multi", faultIndex)
	s.put(inA, string(d(faultRefers)), faultRefers)
	s.m.clock.advance(2 * time.Hour)
	s.read("head and rely", func(ctx context.Context) error {
		if _, err := r.Blob(ctx, inA, d(faultSmall)); err != nil {
			return err
		}
		return r.Rely(ctx, d(faultSmall))
	})
	s.read("lists", func(ctx context.Context) error {
		for _, err := range r.Tags(ctx, inA, "") {
			if err != nil {
				return err
			}
		}
		for _, err := range r.Repositories(ctx, "") {
			if err != nil {
				return err
			}
		}
		for _, err := range r.Referrers(ctx, inA, d(faultImage1), "", "") {
			if err != nil {
				return err
			}
		}
		return nil
	})
	s.background("pull", func(ctx context.Context) error {
		_, is := s.blobIs(inA, faultLarge)
		if err := is(); err != nil {
			return err
		}
		_, _, err := r.Manifest(ctx, inA, "multi")
		return err
	})
	s.background("settle", func(ctx context.Context) error { _, err := r.Settle(ctx); return err })
	s.background("seal", func(ctx context.Context) error { _, err := r.Journal().Seal(ctx); return err })
	s.background("save journal", func(ctx context.Context) error { return r.saveSegments(ctx, true) })
	gone, is := s.manifestIs(inA, "latest", nil)
	gone, is = absent(gone, is)
	s.step("delete tag", gone, func(ctx context.Context) error { return r.DeleteTag(ctx, inA, "latest", nil) }, is)
	gone, is = s.manifestIs(inA, string(d(faultIndex)), nil)
	gone, is = absent(gone, is)
	s.step("delete manifest", gone, func(ctx context.Context) error {
		err := r.DeleteManifest(ctx, inA, d(faultIndex), nil)
		multi, _ := s.manifestIs(inA, "multi", nil)
		delete(s.promises, multi)
		return err
	}, is)
	gone, is = s.blobIs(inB, faultLarge)
	gone, is = absent(gone, is)
	s.step("delete blob", gone, func(ctx context.Context) error { return r.DeleteBlob(ctx, inB, d(faultLarge)) }, is)
	s.read("abandon an upload", func(ctx context.Context) error {
		up, err := r.Begin(ctx, inA, digest.SHA512)
		if err == nil {
			_, err = r.Append(ctx, inA, up.ID, -1, -1, bytes.NewReader(faultLarge))
		}
		return err
	})
	s.m.clock.advance(365 * 24 * time.Hour) // ahead of the time that content has
	s.background("expire", func(ctx context.Context) error { _, err := r.ExpireUploads(ctx); return err })
	s.background("settle again", func(ctx context.Context) error { _, err := r.Settle(ctx); return err })
}

var errNothingToMount = errors.New("nothing to mount")

// check looks at everything that can be seen: promises are kept, and what nobody promised is whole or absent.
func (s *story) check(when string) {
	s.t.Helper()
	for subject, kept := range s.promises {
		if err := kept(); err != nil {
			s.t.Errorf("%s: %s: %v", when, subject, err)
		}
	}
	whole(s.t, s.m.reg, when)
	verified(s.t, s.m.blobs, s.m.index)
}

// whole reads every blob, manifest and tag that any repository says it has.
func whole(t testing.TB, r *Registry, when string) {
	t.Helper()
	for key := range rows(t, r.index, prefixHold) {
		repo, d, _ := strings.Cut(strings.TrimPrefix(key, prefixHold), "!")
		got, err := readBlob(t.Context(), r, repo, digest.Digest(d))
		if err != nil || digest.Digest(d).Algorithm().FromBytes(got) != digest.Digest(d) {
			t.Errorf("%s: blob %s of %s: %d bytes that are %s, %v", when, d, repo, len(got), digest.FromBytes(got), err)
		}
	}
	for _, prefix := range []string{prefixRev, prefixTag} {
		for key := range rows(t, r.index, prefix) {
			repo, ref, _ := strings.Cut(strings.TrimPrefix(key, prefix), "!")
			if strings.Contains(ref, "!") {
				continue // a manifest's tag, which is looked at as a tag
			}
			desc, got, err := r.Manifest(t.Context(), repo, ref)
			if err != nil || desc.Digest.Algorithm().FromBytes(got) != desc.Digest || int64(len(got)) != desc.Size {
				t.Errorf("%s: manifest %s of %s: %d bytes, %v", when, ref, repo, len(got), err)
			}
		}
	}
}

// TestFaults lets each call of each floor fail once, with each error that a medium has.
func TestFaults(t *testing.T) {
	for _, floor := range floors {
		for name, medium := range map[string]error{"EIO": errors.New("input/output error"), "full": nil} {
			t.Run(floor+"/"+name, func(t *testing.T) {
				injected := medium
				if name == "full" {
					if injected = kv.ErrFull; floor == "blobs" {
						injected = blob.ErrFull
					}
				}
				before := runtime.NumGoroutine()
				n := 1
				for ; n < 2000; n++ {
					m := newMedium(t)
					s := &story{t: t, m: m, promises: map[string]func() error{}}
					m.failAt(floor, n, injected)
					s.play()
					reached := m.calls(floor) >= n
					m.failAt("", 0, nil)
					when := fmt.Sprintf("%s fails at %d", floor, n)
					s.judge(when, injected, reached)
					s.check(when)
					again := &story{t: t, m: m, promises: map[string]func() error{}}
					again.play()
					for _, f := range again.failed {
						t.Errorf("%s, and then all is well again: %s: %v", when, f.step, f.err)
					}
					again.check(when + ", and then all is well again")
					if left := rows(t, m.reg.uploads, prefixUpload); len(left) > 0 {
						t.Errorf("%s: uploads that never expire: %v", when, left)
					}
					for pending, err := range m.blobs.Uploads(t.Context()) {
						t.Errorf("%s: bytes that never expire: %v, %v", when, pending, err)
					}
					if t.Failed() || !reached {
						break
					}
				}
				t.Logf("%d points of failure", n-1)
				quiet(t, before)
			})
		}
	}
}

// judge looks at what the steps answered.
func (s *story) judge(when string, injected error, reached bool) {
	s.t.Helper()
	if !reached && len(s.failed) > 0 {
		s.t.Errorf("nothing failed, but %s: %v", s.failed[0].step, s.failed[0].err)
	}
	for i, f := range s.failed {
		if i == 0 && !errors.Is(f.err, injected) {
			s.t.Errorf("%s: %s: %v, which does not tell the cause", when, f.step, f.err)
		}
		if Interrupted(f.err) {
			s.t.Errorf("%s: %s: the medium's fault is laid to the client: %v", when, f.step, f.err)
		}
		full := errors.Is(f.err, kv.ErrFull) || errors.Is(f.err, blob.ErrFull)
		if full && !f.background && Code(f.err) != Full {
			s.t.Errorf("%s: %s: %v, want code %s", when, f.step, f.err, Full)
		}
		if !full && Code(f.err) == Full {
			s.t.Errorf("%s: %s: %v has code %s", when, f.step, f.err, Full)
		}
	}
}

// quiet waits until no more goroutines run than before.
func quiet(t testing.TB, before int) {
	t.Helper()
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines, before there were %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}
