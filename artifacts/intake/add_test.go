package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/registry"
)

// TestFile_many_at_once: all files are there in the end, whether those who send them share a shelf or not.
func TestFile_many_at_once(t *testing.T) {
	const writers = 16
	for name, shelf := range map[string]func(*house) *Shelf{
		"one shelf":    func(h *house) *Shelf { return h.Shelf },
		"many shelves": func(h *house) *Shelf { return &Shelf{Registry: h.reg, Catalog: h.Catalog} },
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t)
			var all sync.WaitGroup
			var want, debs []string
			for i := range writers {
				file, content := fmt.Sprintf("f%02d.bin", i), strings.Repeat("x", i*5000)
				spec := debtest.Spec{Package: "hello", Version: "1.0.2-1", Arch: fmt.Sprintf("arch%02d", i)}
				want, debs = append(want, file), append(debs, "hello_1.0.2-1_"+spec.Arch+".deb")
				s := shelf(h)
				for range 2 { // each twice
					all.Go(func() {
						_, err := s.File(h.ctx, service, "1.0.2", artifacts.Generic, file, "", -1, strings.NewReader(content), Put{})
						if err != nil {
							t.Errorf("%s: %v", file, err)
						}
					})
				}
				all.Go(func() {
					if _, err := s.Deb(h.ctx, service, "", "", -1, strings.NewReader(string(debtest.Build(spec))), Put{}); err != nil {
						t.Errorf("%s: %v", spec.Arch, err)
					}
				})
			}
			all.Wait()
			h.wantFiles("generic-1.0.2", want...)
			h.wantFiles("deb-1.0.2", debs...)
			if v, err := h.Catalog.Version(h.ctx, service, "1.0.2"); err != nil || len(v.Formats[artifacts.Generic].Files) != writers || len(v.Formats[artifacts.Deb].Files) != writers {
				t.Errorf("the catalog has %+v, %v", v, err)
			}
			if left := len(h.turns.lines); left > 0 {
				t.Errorf("%d names are still waited for", left)
			}
		})
	}
}

// TestFile_same_at_once: one of those who send the same file makes it, and the others find it there.
func TestFile_same_at_once(t *testing.T) {
	h := build(t)
	var all sync.WaitGroup
	made := make([]bool, 16)
	for i := range made {
		all.Go(func() {
			kept, err := h.generic("1.0.2", "fw.bin", "firmware")
			if made[i] = !kept.Same; err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made = slices.DeleteFunc(made, func(m bool) bool { return !m }); len(made) != 1 {
		t.Errorf("%d made it, want one", len(made))
	}
}

// TestFile_when_others_push_meanwhile: what they pushed between the look and the transaction is not lost.
func TestFile_when_others_push_meanwhile(t *testing.T) {
	h := build(t)
	others := &Shelf{Registry: h.reg, Catalog: h.Catalog}
	asked := 0
	meanwhile := func(times int) Put {
		asked = 0
		return Put{
			Judge: func(*registry.Manifest) error {
				if asked++; asked <= times {
					_, err := others.File(h.ctx, service, "1.0.2", artifacts.Generic, fmt.Sprintf("other%02d-%d.bin", times, asked), "", -1, strings.NewReader("x"), Put{})
					return err
				}
				return nil
			},
			Guard: func(tag string, was registry.Stored) error { return errors.New("the guard is asked about a growth") },
		}
	}
	send := func(name string, p Put) (Kept, error) {
		return h.File(h.ctx, service, "1.0.2", artifacts.Generic, name, "", -1, strings.NewReader("mine"), p)
	}
	kept := h.must(send("mine.bin", meanwhile(1))) // when there was no tag yet
	h.wantFiles("generic-1.0.2", "mine.bin", "other01-1.bin")
	if _, d := h.manifest(service, "generic-1.0.2"); asked != 2 || kept.Same || kept.Digest != d {
		t.Errorf("it was tried %d times, and is %+v", asked, kept)
	}
	h.must(send("more.bin", meanwhile(2))) // when there was one
	h.wantFiles("generic-1.0.2", "mine.bin", "more.bin", "other01-1.bin", "other02-1.bin", "other02-2.bin")
	// The same file, made by others meanwhile, is found; another one of its name is refused.
	race := func(content string) (Kept, error) {
		return send("race"+content+".bin", Put{Judge: func(*registry.Manifest) error {
			_, err := others.File(h.ctx, service, "1.0.2", artifacts.Generic, "race"+content+".bin", "", -1, strings.NewReader(content), Put{})
			return err
		}})
	}
	if kept := h.must(race("mine")); kept.Digest == "" {
		t.Errorf("%+v", kept)
	}
	_, err := race("theirs")
	wantRefusal(t, err, registry.Denied, "has other content already")
	// Whoever never gets a turn is told so.
	_, err = send("never.bin", meanwhile(maxTries))
	wantRefusal(t, err, registry.Busy, "try again")
	if asked != maxTries || slices.Contains(h.files("generic-1.0.2"), "never.bin") {
		t.Errorf("it was tried %d times, and the files are %q", asked, h.files("generic-1.0.2"))
	}
}

// TestFile_when_the_version_is_deleted_meanwhile: it does not come back.
func TestFile_when_the_version_is_deleted_meanwhile(t *testing.T) {
	h := build(t)
	h.must(h.generic("1.0.2", "fw.bin", "firmware"))
	p := Put{Judge: func(*registry.Manifest) error { return h.reg.DeleteTag(h.ctx, service, "generic-1.0.2", nil) }}
	_, err := h.File(h.ctx, service, "1.0.2", artifacts.Generic, "more.bin", "", -1, strings.NewReader("x"), p)
	wantRefusal(t, err, registry.Denied, "was deleted")
	h.wantFiles("generic-1.0.2")
}

// TestFile_of_a_version_that_is_deployed: nothing is added to it, and what it has is still there.
func TestFile_of_a_version_that_is_deployed(t *testing.T) {
	h := build(t)
	d := h.image("1.0.2")
	h.must(h.generic("1.0.2", "fw.bin", "firmware"))
	h.must(h.document("1.0.2", artifacts.Docker, document.KindManifest, manifestOf(artifacts.Docker, "1.0.2", d)))
	h.must(h.document("1.0.2", artifacts.Generic, document.KindManifest, manifestOf(artifacts.Generic, "1.0.2", digest.FromString("firmware"))))
	h.must(h.document("1.0.2", "", document.KindMetadata, metadata))
	h.must(h.Owner(h.ctx, "cloud/dmp", document.KindOwnership, []byte(ownership), Put{}))
	order := artifacts.Order{Kind: artifacts.Promotion, Component: service, Place: artifacts.Place{Domain: "cloud", Environment: "staging"}, Version: "1.0.2"}
	if _, err := h.Catalog.Move(h.ctx, order); err != nil {
		t.Fatal(err)
	}
	_, err := h.generic("1.0.2", "more.bin", "more")
	wantRefusal(t, err, registry.Denied, "cloud.staging", "push a new version")
	h.wantFiles("generic-1.0.2", "fw.bin")
	if again := h.must(h.generic("1.0.2", "fw.bin", "firmware")); !again.Same {
		t.Errorf("%+v", again)
	}
}

// TestFile_asks_the_judge about the manifest that would be stored, and does nothing if it minds.
func TestFile_asks_the_judge(t *testing.T) {
	h := build(t)
	no := errors.New("no")
	var seen *registry.Manifest
	p := Put{Judge: func(m *registry.Manifest) error { seen = m; return no }}
	_, err := h.File(h.ctx, service, "1.0.2", artifacts.Generic, "fw.bin", "", -1, strings.NewReader("x"), p)
	if !errors.Is(err, no) || seen == nil || seen.Descriptor.ArtifactType != artifacts.TypeGeneric || len(seen.Layers) != 1 {
		t.Errorf("%v, and it saw %+v", err, seen)
	}
	h.wantFiles("generic-1.0.2")
}

// TestTurns_may_be_given_up: who no longer waits keeps nobody from anything.
func TestTurns_may_be_given_up(t *testing.T) {
	var line turns
	done, err := line.take(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := line.take(gone, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was given up", err)
	}
	other, err := line.take(t.Context(), "b") // somebody else's
	if err != nil {
		t.Fatal(err)
	}
	other()
	done()
	if done, err = line.take(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	done()
	if len(line.lines) > 0 {
		t.Errorf("%v is left", line.lines)
	}
}
