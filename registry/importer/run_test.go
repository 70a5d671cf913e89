package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
)

func TestRun_moves_once(t *testing.T) {
	eachMedium(t, func(t *testing.T, f tree) {
		to := newLocal(t)
		_, layer := f.image("team/app", "1.0", "one")
		f.image("team/app", "2.0", "two")
		f.image("team/other", "1.0", "one")                                                                                      // the same content
		again := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: layer, Layers: []ocispec.Descriptor{layer}} // the same layer, twice
		again.SchemaVersion = 2
		f.manifest("team/app", "3.0", again)

		first := runAll(t, Config{From: f.open(), To: to})
		want := Tally{Tags: 4, Manifests: 4, Blobs: 6, Bytes: 2*40_000 + 2*int64(len(`{"text":"one"}`))}
		if first.Came != want || first.Mounted != 2 || first.Here != (Tally{}) || len(first.Failures) > 0 {
			t.Errorf("the first move: %+v, want that %+v came, 2 blobs of it from the other repository", first, want)
		}
		if got := read(t, to, "team/other", layer.Digest); got != strings.Repeat("one ", 10_000) {
			t.Errorf("the layer has %d bytes, want those of the source", len(got))
		}
		second := runAll(t, Config{From: f.open(), To: to})
		if second.Came != (Tally{}) || second.Here.Tags != 4 || second.Here.Manifests != 4 {
			t.Errorf("the second move: %+v, want that all was here", second)
		}
	})
}

func TestRun_brings_what_no_tag_leads_to_unless_told_otherwise(t *testing.T) {
	eachMedium(t, func(t *testing.T, f tree) {
		f.image("team/app", "1.0", "one")
		former, _ := f.image("team/app", "", "former")
		for _, c := range []struct {
			config Config
			want   int
		}{{Config{}, 2}, {Config{Tagged: true}, 1}, {Config{Tags: []string{"*"}}, 1}} {
			to := newLocal(t)
			c.config.From, c.config.To = f.open(), to
			report := runAll(t, c.config)
			_, err := to.Registry.Resolve(t.Context(), "team/app", string(former.Digest))
			if report.Came.Manifests != c.want || (err == nil) != (c.want == 2) {
				t.Errorf("tagged %t, tags %v: %d manifests came, and the untagged one: %v; want %d", c.config.Tagged, c.config.Tags, report.Came.Manifests, err, c.want)
			}
		}
	})
}

func TestRun_dry_changes_nothing_and_foretells_all(t *testing.T) {
	eachMedium(t, func(t *testing.T, f tree) {
		to := newLocal(t)
		f.image("team/app", "1.0", "one")
		f.image("team/other", "1.0", "one")
		dry := runAll(t, Config{From: f.open(), To: to, DryRun: true})
		for repo, err := range to.Registry.Repositories(t.Context(), "") {
			t.Errorf("after a dry run there is %s, %v, want nothing", repo, err)
		}
		wet := runAll(t, Config{From: f.open(), To: to})
		if dry.Came != wet.Came || dry.Mounted != wet.Mounted {
			t.Errorf("it foretold %+v, and %+v came", dry.Came, wet.Came)
		}
	})
}

func TestRun_tags_that_moved_here_stay(t *testing.T) {
	f, to := newTree(t), newLocal(t)
	there, _ := f.image("team/app", "latest", "there")
	runAll(t, Config{From: f.open(), To: to})
	here := newTree(t)
	newer, _ := here.image("team/app", "latest", "here")
	runAll(t, Config{From: here.open(), To: to, Overwrite: true})

	report := runAll(t, Config{From: f.open(), To: to})
	told(t, report, "tag latest: it names "+string(there.Digest))
	if d, err := to.Resolve(t.Context(), "team/app", "latest"); err != nil || d != newer.Digest {
		t.Errorf("latest names %s (%v), want %s as before", d, err, newer.Digest)
	}
	told(t, runAll(t, Config{From: f.open(), To: to, Overwrite: true}))
	if d, err := to.Resolve(t.Context(), "team/app", "latest"); err != nil || d != there.Digest {
		t.Errorf("when the source wins, latest names %s (%v), want %s", d, err, there.Digest)
	}
}

func TestRun_chooses_and_renames(t *testing.T) {
	eachMedium(t, func(t *testing.T, f tree) {
		to := newLocal(t)
		for _, repo := range []string{"library/alpine", "library/deep/er", "team/app", "else"} {
			f.image(repo, "1.0", repo)
			f.image(repo, "test", repo+" test")
		}
		rename, err := ParseRename("library/** = hub/library/**")
		if err != nil {
			t.Fatal(err)
		}
		runAll(t, Config{From: f.open(), To: to, Repositories: []string{"library/**", "team/*"}, Tags: []string{"1.*"}, Renames: []Rename{rename}})
		var got []string
		for repo, err := range to.Registry.Repositories(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			for tag := range to.Registry.Tags(t.Context(), repo, "") {
				got = append(got, repo+":"+tag)
			}
		}
		if want := []string{"hub/library/alpine:1.0", "hub/library/deep/er:1.0", "team/app:1.0"}; !slices.Equal(got, want) {
			t.Errorf("here are %v, want %v", got, want)
		}
		if _, err := Run(t.Context(), Config{From: f.open(), To: to, Repositories: []string{"none/**"}}); err == nil {
			t.Error("a choice that fits nothing: no error, want one")
		}
	})
}

func TestRun_platforms_that_nobody_has_do_not_matter(t *testing.T) {
	eachMedium(t, func(t *testing.T, f tree) {
		to := newLocal(t)
		amd, _ := f.image("team/app", "", "amd64")
		index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{amd,
			{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("none"), Size: 4}}}
		index.SchemaVersion = 2
		f.manifest("team/app", "1.0", index)
		told(t, runAll(t, Config{From: f.open(), To: to}))
		if _, err := to.Registry.Resolve(t.Context(), "team/app", string(amd.Digest)); err != nil {
			t.Errorf("the platform that there is did not come: %v", err)
		}
	})
}

// faulty is a registry to move into whose blobs fail.
type faulty struct {
	*Local
	fault func() error
}

func (f faulty) Bring(ctx context.Context, repo string, d ocispec.Descriptor, near string, open func() (io.ReadCloser, error)) (How, error) {
	if err := f.fault(); err != nil {
		return Copied, err
	}
	return f.Local.Bring(ctx, repo, d, near, open)
}

var errAway = errors.New("away")

func TestRun_tries_again_what_may_pass(t *testing.T) {
	f, to := newTree(t), newLocal(t)
	f.image("team/app", "1.0", "one")
	left, waited := 3, time.Duration(0)
	report := runAll(t, Config{From: f.open(), Lanes: 1, Passing: func(err error) bool { return errors.Is(err, errAway) },
		Wait: func(_ context.Context, d time.Duration) { waited += d },
		To: faulty{to, func() error {
			if left--; left >= 0 {
				return errAway
			}
			return nil
		}}})
	told(t, report)
	if report.Came.Tags != 1 || waited != 1400*time.Millisecond {
		t.Errorf("%d tags came after a wait of %s, want 1 after 200, 400 and 800 ms", report.Came.Tags, waited)
	}
}

func TestRun_ends_early_where_nothing_more_can_come(t *testing.T) {
	f := newTree(t)
	for i := range 20 {
		f.image(fmt.Sprintf("team/app%d", i), "1.0", "one")
	}
	for name, c := range map[string]struct {
		fault error
		most  int
	}{
		"full": {&registry.Error{Code: registry.Full}, 1},
		"away": {errAway, brokenInARow},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := Run(t.Context(), Config{From: f.open(), To: faulty{newLocal(t), func() error { return c.fault }}, Tagged: true,
				Passing: func(err error) bool { return errors.Is(err, errAway) }, Wait: func(context.Context, time.Duration) {}})
			if !errors.Is(err, c.fault) || len(report.Failures) > c.most || len(report.Failures) == 0 {
				t.Errorf("error %v after %d failures, want %v after at most %d", err, len(report.Failures), c.fault, c.most)
			}
		})
	}
}

func TestRun_ends_with_its_context(t *testing.T) {
	f := newTree(t)
	f.image("a", "1.0", "one")
	f.image("b", "1.0", "two")
	ctx, cancel := context.WithCancel(t.Context())
	report, err := Run(ctx, Config{From: f.open(), To: faulty{newLocal(t), func() error { cancel(); return context.Canceled }}})
	if !errors.Is(err, context.Canceled) || report.Repositories != 1 || len(report.Failures) > 0 {
		t.Errorf("%v after %d repositories with failures %v, want that it ended in the first one with nothing but that", err, report.Repositories, report.Failures)
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"team/app", "team/app", true},
		{"team/app", "team/apps", false},
		{"team/*", "team/app", true},
		{"team/*", "team/app/deep", false},
		{"team/**", "team/app/deep", true},
		{"team/**", "team", false},
		{"team/**", "teams/app", false},
		{"*/app/**", "team/app/deep", true},
		{"**", "anything/at/all", true},
	} {
		if err := CheckPattern(c.pattern); err != nil {
			t.Errorf("CheckPattern(%q): %v", c.pattern, err)
		}
		if got := Matches(c.pattern, c.name); got != c.want {
			t.Errorf("Matches(%q, %q) is %t, want %t", c.pattern, c.name, got, c.want)
		}
	}
	for _, wrong := range []string{"", "/app", "team/", "**/app", "team/a**", "team/[a", "a?"} {
		if CheckPattern(wrong) == nil {
			t.Errorf("CheckPattern(%q): no error, want one", wrong)
		}
	}
}

func TestParseRename(t *testing.T) {
	for text, want := range map[string][2]string{
		"library/** = hub/library/**": {"library/alpine", "hub/library/alpine"},
		"** = old/**":                 {"team/app", "old/team/app"},
		"old/** = **":                 {"old/app", "app"},
		"old/app=team/app":            {"old/app", "team/app"},
		"team/** = x/**":              {"teams/app", "teams/app"},
	} {
		r, err := ParseRename(text)
		if err != nil {
			t.Errorf("ParseRename(%q): %v", text, err)
		} else if got := renamed([]Rename{r}, want[0]); got != want[1] {
			t.Errorf("with %q, %s is called %s here, want %s", text, want[0], got, want[1])
		}
	}
	for _, wrong := range []string{"", "a", "a=", "a/**=b", "a=b/**", "a/*=b/*", "a** = b**", "A/** = b/**", "a/** = ../**"} {
		if r, err := ParseRename(wrong); err == nil {
			t.Errorf("ParseRename(%q) is %v, want an error", wrong, r)
		}
	}
}
