package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// limited is a registry with quotas that have been counted.
func limited(t testing.TB, index kv.DB, all ...Quota) *Registry {
	t.Helper()
	r := open(t, func(c *Config) { c.Index, c.Quotas = index, all })
	if err := r.Recount(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func usage(t testing.TB, r *Registry, path string) Usage {
	t.Helper()
	all, err := r.Quotas(t.Context())
	for _, s := range all {
		if s.Path == path && s.Counted {
			return s.Used
		}
	}
	t.Fatalf("quotas: %+v, %v; want that of %s, counted", all, err, path)
	return Usage{}
}

func wantUsage(t testing.TB, r *Registry, path string, want Usage) {
	t.Helper()
	if got := usage(t, r, path); got != want {
		t.Errorf("%s uses %+v; want %+v", path, got, want)
	}
}

func TestQuota_counts_blobs_once(t *testing.T) {
	all := []Quota{{Path: "a"}, {Path: "a/x"}, {Path: Everywhere}}
	r := limited(t, kv.NewMemory(), all...)
	small, large := octets("small", 100), octets("large", smallBlob+1)
	mustPush(t, r, "a/x", small)
	mustPush(t, r, "a/y", small)
	mustPush(t, r, "a/y", large)
	mustPush(t, r, "ab", small) // not below a
	wantUsage(t, r, "a", Usage{Bytes: 100 + smallBlob + 1})
	wantUsage(t, r, "a/x", Usage{Bytes: 100})
	if mounted, err := r.Mount(t.Context(), "a/x", digest.FromBytes(large), "a/y", func(string) bool { return true }); err != nil || !mounted {
		t.Fatal(mounted, err)
	}
	wantUsage(t, r, "a", Usage{Bytes: 100 + smallBlob + 1})
	wantUsage(t, r, "a/x", Usage{Bytes: 100 + smallBlob + 1})
	for _, repo := range []string{"a/y", "a/x"} {
		wantUsage(t, r, Everywhere, Usage{Bytes: 100 + smallBlob + 1})
		if err := r.DeleteBlob(t.Context(), repo, digest.FromBytes(large)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"a", "a/x", Everywhere} {
		wantUsage(t, r, path, Usage{Bytes: 100})
	}

	config := []byte("{}")
	mustPush(t, r, "a/x", config)
	image := imageOf(config, nil)
	for _, tag := range []string{"1", "2", "2"} {
		if _, err := r.PutManifest(t.Context(), Put{Repo: "a/x", Ref: tag, Body: image}); err != nil {
			t.Fatal(err)
		}
	}
	size := int64(len(image))
	wantUsage(t, r, "a", Usage{Bytes: 102 + size, Manifests: 1, Tags: 2, Repositories: 1})
	if err := r.DeleteTag(t.Context(), "a/x", "1", nil); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, r, "a", Usage{Bytes: 102 + size, Manifests: 1, Tags: 1, Repositories: 1})
	if err := r.DeleteManifest(t.Context(), "a/x", digest.FromBytes(image), nil); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, r, "a", Usage{Bytes: 102})
	wantUsage(t, r, Everywhere, Usage{Bytes: 102})
}

// TestMeter_remembers_what_was_there_first, whatever a transaction reads and writes afterwards.
func TestMeter_remembers_what_was_there_first(t *testing.T) {
	r := limited(t, kv.NewMemory(), Quota{Path: "a"})
	hello := digest.FromString("hello")
	for _, c := range []struct {
		name string
		do   func(tx kv.Tx)
		want int64
	}{
		{"put, read", func(tx kv.Tx) { putHold(tx, "a", hello, 5, epoch); _, _ = tx.Get(t.Context(), keyHold("a", hello)) }, 5},
		{"deleted and put back", func(tx kv.Tx) { dropHold(tx, "a", hello); putHold(tx, "a", hello, 5, epoch) }, 5},
		{"put twice", func(tx kv.Tx) { putHold(tx, "a", hello, 5, epoch); putHold(tx, "a", hello, 5, epoch) }, 5},
		{"put and deleted", func(tx kv.Tx) { putHold(tx, "a/b", hello, 5, epoch); dropHold(tx, "a/b", hello) }, 5},
		{"moved", func(tx kv.Tx) { putHold(tx, "a/b", hello, 5, epoch); dropHold(tx, "a", hello) }, 5},
		{"read, gone", func(tx kv.Tx) { _, _ = tx.Get(t.Context(), keyHold("a/b", hello)); dropHold(tx, "a/b", hello) }, 0},
	} {
		if err := r.index.Update(t.Context(), func(tx kv.Tx) error { c.do(tx); return nil }); err != nil {
			t.Fatal(err)
		}
		if got := usage(t, r, "a").Bytes; got != c.want {
			t.Errorf("%s: %d bytes are used; want %d", c.name, got, c.want)
		}
	}
}

// TestQuota_refuses_the_first_that_exceeds: whichever way it comes. What was refused left nothing behind, and what fits still passes.
func TestQuota_refuses_the_first_that_exceeds(t *testing.T) {
	for _, size := range []int{1_000, 3 * smallBlob} {
		for name, push := range map[string]func(r *Registry, content []byte) error{
			"at once": func(r *Registry, content []byte) error {
				return r.PutBlob(t.Context(), "a/x", digest.FromBytes(content), int64(len(content)), bytes.NewReader(content))
			},
			"at once, of a length that is not told": func(r *Registry, content []byte) error {
				return r.PutBlob(t.Context(), "a/x", digest.FromBytes(content), -1, bytes.NewReader(content))
			},
			"as docker does": func(r *Registry, content []byte) error {
				up, err := r.Begin(t.Context(), "a/x", "")
				if err == nil {
					_, err = r.Append(t.Context(), "a/x", up.ID, 0, -1, bytes.NewReader(content))
				}
				if err == nil {
					err = r.Finish(t.Context(), "a/x", up.ID, -1, 0, nil, digest.FromBytes(content))
				}
				return err
			},
			"in chunks of a length": func(r *Registry, content []byte) error {
				up, err := r.Begin(t.Context(), "a/x", "")
				for at := 0; err == nil && at < len(content); at += 700 {
					chunk := content[at:min(at+700, len(content))]
					_, err = r.Append(t.Context(), "a/x", up.ID, int64(at), int64(len(chunk)), bytes.NewReader(chunk))
				}
				if err == nil {
					err = r.Finish(t.Context(), "a/x", up.ID, -1, 0, nil, digest.FromBytes(content))
				}
				return err
			},
			"with the last request": func(r *Registry, content []byte) error {
				up, err := r.Begin(t.Context(), "a/x", "")
				if err == nil {
					err = r.Finish(t.Context(), "a/x", up.ID, 0, int64(len(content)), bytes.NewReader(content), digest.FromBytes(content))
				}
				return err
			},
		} {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				r := limited(t, kv.NewMemory(), Quota{Path: "a", Max: Usage{Bytes: int64(2*size + 10)}})
				first, second, third, fits := octets("1", size), octets("2", size), octets("3", size), octets("4", 10)
				for _, content := range [][]byte{first, second, first} {
					if err := push(r, content); err != nil {
						t.Fatal(err)
					}
				}
				err := push(r, third)
				wantCode(t, err, QuotaExceeded)
				if want := fmt.Sprintf("quota of a is %d bytes, and this would make it %d", 2*size+10, 3*size); !strings.Contains(fmt.Sprint(err), want) {
					t.Errorf("got %v; want it to say %q", err, want)
				}
				if _, err := r.Blob(t.Context(), "a/x", digest.FromBytes(third)); Code(err) != BlobUnknown {
					t.Errorf("the refused blob: %v; want it unknown", err)
				}
				if left := rows(t, r.uploads, prefixUpload); len(left) > 0 {
					t.Errorf("left of uploads: %v", left)
				}
				if err := push(r, fits); err != nil {
					t.Errorf("what fits was refused: %v", err)
				}
				wantUsage(t, r, "a", Usage{Bytes: int64(2*size + 10)})
				mustPush(t, r, "b", third)
				if mounted, err := r.Mount(t.Context(), "a/y", digest.FromBytes(third), "b", func(string) bool { return true }); mounted || Code(err) != QuotaExceeded {
					t.Errorf("mount from outside: %t, %v; want %s", mounted, err, QuotaExceeded)
				}
				if mounted, err := r.Mount(t.Context(), "a/y", digest.FromBytes(first), "a/x", func(string) bool { return true }); !mounted {
					t.Errorf("mount of what counts already: %v", err)
				}
				verified(t, r.blobs, r.index)
			})
		}
	}
}

// TestQuota_larger_than_all_of_it is refused before all of it has come.
func TestQuota_larger_than_all_of_it(t *testing.T) {
	r := limited(t, kv.NewMemory(), Quota{Path: "a", Max: Usage{Bytes: 100_000}})
	up, err := r.Begin(t.Context(), "a", "")
	if err != nil {
		t.Fatal(err)
	}
	endless := &zeros{}
	_, err = r.Append(t.Context(), "a", up.ID, 0, -1, endless)
	wantCode(t, err, QuotaExceeded)
	if endless.n > 2_000_000 {
		t.Errorf("%d bytes were read of an endless upload into a quota of 100 000", endless.n)
	}
	if left := rows(t, r.uploads, prefixUpload); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	_, err = r.Upload(t.Context(), "a", up.ID)
	wantCode(t, err, BlobUploadUnknown)
}

type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n > 100_000_000 {
		return 0, errors.New("nobody stopped reading")
	}
	z.n += int64(len(p))
	clear(p)
	return len(p), nil
}

func TestQuota_of_numbers(t *testing.T) {
	for what, most := range map[string]Usage{"manifests": {Manifests: 2}, "tags": {Tags: 2}, "repositories": {Repositories: 1}} {
		t.Run(what, func(t *testing.T) {
			r := limited(t, kv.NewMemory(), Quota{Path: "a", Max: most})
			config := []byte("{}")
			put := func(n int) error {
				repo := "a/x"
				if what == "repositories" && n == 3 {
					repo = "a/y"
				}
				mustPush(t, r, repo, config)
				_, err := r.PutManifest(t.Context(), Put{Repo: repo, Ref: fmt.Sprint("t", n), Body: imageOf(config, nil, annotated(fmt.Sprint(n)))})
				return err
			}
			for n := range 2 {
				if err := put(n); err != nil {
					t.Fatal(err)
				}
			}
			if err := put(1); err != nil {
				t.Errorf("the same again: %v", err)
			}
			before := usage(t, r, "a")
			err := put(3)
			wantCode(t, err, QuotaExceeded)
			if !strings.Contains(fmt.Sprint(err), what) {
				t.Errorf("got %v; want it to name %s", err, what)
			}
			wantUsage(t, r, "a", before)
			if what == "repositories" {
				return
			}
			if err := r.DeleteManifest(t.Context(), "a/x", digest.FromBytes(imageOf(config, nil, annotated("0"))), nil); err != nil {
				t.Fatal(err)
			}
			if err := put(3); err != nil {
				t.Errorf("after one was deleted: %v", err)
			}
		})
	}
}

// TestQuota_lowered below what is there refuses more, and nothing that makes less of it.
func TestQuota_lowered(t *testing.T) {
	index, blobs := kv.NewMemory(), blob.NewMemory()
	reopen := func(most Usage) *Registry {
		r := open(t, func(c *Config) { c.Index, c.Blobs, c.Quotas = index, blobs, []Quota{{Path: "a", Max: most}} })
		if err := r.Recount(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := reopen(Usage{})
	mustPush(t, r, "a", octets("1", 500))
	mustPush(t, r, "a", octets("2", 500))
	r = reopen(Usage{Bytes: 600})
	wantCode(t, r.PutBlob(t.Context(), "a", digest.FromBytes([]byte("x")), 1, strings.NewReader("x")), QuotaExceeded)
	if err := r.DeleteBlob(t.Context(), "a", digest.FromBytes(octets("1", 500))); err != nil {
		t.Error(err)
	}
	if err := r.PutBlob(t.Context(), "a", digest.FromBytes([]byte("x")), 1, strings.NewReader("x")); err != nil {
		t.Error(err)
	}
	mustPush(t, r, "a", octets("2", 500)) // is there
	wantUsage(t, r, "a", Usage{Bytes: 501})
}

// TestQuota_fetched content counts, and is not refused.
func TestQuota_fetched(t *testing.T) {
	r := limited(t, kv.NewMemory(), Quota{Path: "docker.io", Max: Usage{Bytes: 10, Manifests: 1, Tags: 1}})
	content := octets("layer", 5_000)
	f := r.Fill(t.Context(), "docker.io/x", digest.FromBytes(content), func(_ context.Context, at int64) (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(content[at:])), int64(len(content)), nil
	})
	if err := f.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if _, err := r.Adopt(t.Context(), "docker.io/x", fmt.Sprint(n), typeImage, imageOf(content, nil, annotated(fmt.Sprint(n))), nil); err != nil {
			t.Fatal(err)
		}
	}
	if u := usage(t, r, "docker.io"); u.Bytes <= 5_000 || u.Manifests != 2 || u.Tags != 2 || u.Repositories != 1 {
		t.Errorf("used: %+v", u)
	}
	wantCode(t, r.PutBlob(t.Context(), "docker.io/x", digest.FromBytes([]byte("x")), 1, strings.NewReader("x")), QuotaExceeded)
}

func TestQuota_over_a_path(t *testing.T) {
	r := limited(t, kv.NewMemory(), Quota{Path: "a/b"}, Quota{Path: Everywhere}, Quota{Path: "a"}, Quota{Path: "ab"})
	for path, want := range map[string][]string{"a/b/c": {"**", "a", "a/b"}, "a/b": {"**", "a", "a/b"}, "a/bc": {"**", "a"}, "abc": {"**"}} {
		all, err := r.QuotasOver(t.Context(), path)
		var got []string
		for _, s := range all {
			got = append(got, s.Path)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s comes under %v, %v; want %v", path, got, err, want)
		}
	}
}

func TestQuota_refuses_nonsense(t *testing.T) {
	for _, all := range [][]Quota{{{Path: "A"}}, {{Path: ""}}, {{Path: "a"}, {Path: "a"}}, {{Path: "a", Max: Usage{Tags: -1}}}} {
		if _, err := Open(t.Context(), Config{Blobs: blob.NewMemory(), Index: kv.NewMemory(), Quotas: all}); err == nil {
			t.Errorf("%+v was taken", all)
		}
	}
}

// TestQuota_property: whatever is done, in whichever order and wherever a registry without quotas has a hand in it, what is counted as it goes is what counting anew finds.
func TestQuota_property(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var now clock
		index, blobs := kv.NewMemory(), blob.NewMemory()
		all := []Quota{{Path: "a"}, {Path: "a/b"}, {Path: "a/b/c"}, {Path: Everywhere}}
		house := func(q []Quota) *Registry {
			return open(t, func(c *Config) {
				c.Index, c.Blobs, c.Quotas, c.Now, c.Grace, c.Doomed = index, blobs, q, now.now, time.Minute, time.Minute
			})
		}
		r, blind := house(all), house(nil)
		repos := []string{"a", "a/b", "a/b/c", "a/b/d", "ab", "b"}
		rng := rand.New(rand.NewPCG(1, uint64(rapid.IntRange(0, 1<<30).Draw(rt, "seed"))))
		pick := func() (*Registry, string) {
			reg := r
			if rng.IntN(20) == 0 {
				reg = blind
			}
			return reg, repos[rng.IntN(len(repos))]
		}
		recount := func() {
			if err := r.Recount(t.Context()); err != nil {
				rt.Fatal(err)
			}
		}
		recount()
		config := []byte("{}")
		for range rapid.IntRange(1, 120).Draw(rt, "steps") {
			reg, repo := pick()
			content := octets(fmt.Sprint(rng.IntN(5)), 10+rng.IntN(2)*100)
			body := imageOf(config, nil, annotated(fmt.Sprint(rng.IntN(4))))
			tag := fmt.Sprint("t", rng.IntN(3))
			switch rng.IntN(9) {
			case 0, 1:
				_ = reg.PutBlob(t.Context(), repo, digest.FromBytes(content), int64(len(content)), bytes.NewReader(content))
			case 2:
				_, _ = reg.Mount(t.Context(), repo, digest.FromBytes(content), "", func(string) bool { return true })
			case 3:
				_ = reg.DeleteBlob(t.Context(), repo, digest.FromBytes(content))
			case 4, 5:
				_ = reg.PutBlob(t.Context(), repo, digest.FromBytes(config), int64(len(config)), bytes.NewReader(config))
				_, _ = reg.PutManifest(t.Context(), Put{Repo: repo, Ref: tag, Body: body})
			case 6:
				_ = reg.DeleteTag(t.Context(), repo, tag, nil)
			case 7:
				_ = reg.DeleteManifest(t.Context(), repo, digest.FromBytes(body), nil)
			case 8:
				now.advance(time.Hour)
				_, _ = reg.Sweep(t.Context(), SweepOptions{})
				_, _ = reg.Reap(t.Context())
			}
			if reg == blind {
				recount()
			}
		}
		counted, err := r.count(t.Context(), index)
		if err != nil {
			rt.Fatal(err)
		}
		for _, q := range all {
			if got := usage(t, r, q.Path); got != counted[q.Path] {
				rt.Errorf("%s: counted as it went %+v; counted anew %+v", q.Path, got, counted[q.Path])
			}
		}
	})
}

// TestQuota_of_many_at_once: pushes that run together do not exceed it together.
func TestQuota_of_many_at_once(t *testing.T) {
	for _, place := range []string{"memory", "files"} {
		t.Run(place, func(t *testing.T) {
			r := open(t, func(c *Config) {
				if place == "files" {
					onBolt(t)(c)
				}
				c.Quotas = []Quota{{Path: "a", Max: Usage{Bytes: 1_000}}}
			})
			if err := r.Recount(t.Context()); err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			for n := range 30 {
				go func() {
					content := octets(fmt.Sprint(n), 100)
					done <- r.PutBlob(t.Context(), fmt.Sprintf("a/r%d", n%3), digest.FromBytes(content), 100, bytes.NewReader(content))
				}()
			}
			taken := 0
			for range 30 {
				switch err := <-done; {
				case err == nil:
					taken++
				case Code(err) != QuotaExceeded:
					t.Error(err)
				}
			}
			if taken != 10 {
				t.Errorf("%d blobs of 100 bytes were taken into a quota of 1000", taken)
			}
			wantUsage(t, r, "a", Usage{Bytes: 1_000})
		})
	}
}

// TestRecount_by_several_at_once: what one has corrected is not corrected again by another that began to count before.
func TestRecount_by_several_at_once(t *testing.T) {
	index, blobs := &countedBeside{Memory: kv.NewMemory()}, blob.NewMemory()
	at := func(all ...Quota) *Registry {
		return open(t, func(c *Config) { c.Index, c.Blobs, c.Quotas = index, blobs, all })
	}
	mustPush(t, at(), "a", octets("1", 300))
	first, second := at(Quota{Path: "a"}), at(Quota{Path: "a"})
	index.then = func() {
		if err := second.Recount(t.Context()); err != nil {
			t.Error(err)
		}
		mustPush(t, second, "a", octets("2", 40))
	}
	if err := first.Recount(t.Context()); err != nil || index.then != nil {
		t.Fatal(err, "or nothing happened beside it")
	}
	wantUsage(t, first, "a", Usage{Bytes: 340})
	mustPush(t, at(), "a", octets("3", 7))
	for range 2 {
		if err := first.Recount(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantUsage(t, second, "a", Usage{Bytes: 347})
	}
}

// countedBeside lets something happen once after a snapshot was looked at.
type countedBeside struct {
	*kv.Memory
	then func()
}

func (c *countedBeside) Snapshot(ctx context.Context, fn func(kv.View) error) error {
	err := c.Memory.Snapshot(ctx, fn)
	if then := c.then; then != nil {
		c.then = nil
		then()
	}
	return err
}

// BenchmarkQuota shows what a push costs more under quotas, and how fast everything is counted anew.
func BenchmarkQuota(b *testing.B) {
	for name, all := range map[string][]Quota{"none": nil, "elsewhere": {{Path: "b"}}, "one": {{Path: "a"}}, "three": {{Path: "a"}, {Path: "a/x"}, {Path: Everywhere}}} {
		b.Run("push/"+name, func(b *testing.B) {
			r := open(b, onBolt(b), func(c *Config) { c.Quotas = all })
			if err := r.Recount(b.Context()); err != nil {
				b.Fatal(err)
			}
			for n := 0; b.Loop(); n++ {
				content := octets(fmt.Sprint(n), 200)
				if err := r.PutBlob(b.Context(), "a/x", digest.FromBytes(content), 200, bytes.NewReader(content)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("count", func(b *testing.B) {
		const blobs = 20_000
		r := open(b, onBolt(b), func(c *Config) { c.Quotas = []Quota{{Path: "a"}, {Path: Everywhere}} })
		for n := range blobs {
			content := fmt.Append(nil, n)
			if err := r.PutBlob(b.Context(), fmt.Sprintf("a/r%d", n%50), digest.FromBytes(content), int64(len(content)), bytes.NewReader(content)); err != nil {
				b.Fatal(err)
			}
		}
		for b.Loop() {
			if err := r.Recount(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(blobs*float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
	})
}
