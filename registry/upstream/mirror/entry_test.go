package mirror

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestEntry_faults(t *testing.T) {
	many := make([]string, maxPatterns+1)
	for i := range many {
		many[i] = "x"
	}
	for name, c := range map[string]struct {
		entry Entry
		want  string // the fields that are wrong
	}{
		"the least":           {Entry{Repository: app}, ""},
		"all":                 {Entry{Repository: "docker.io/alpine", Tags: []string{"3.*", "[a-z]?"}, Versions: ">=3.18 <4", Last: 5, Platforms: []string{"linux/arm/v7"}, Every: time.Hour}, ""},
		"no repository":       {Entry{}, "repository"},
		"no upstream":         {Entry{Repository: "team/app"}, "repository"},
		"an upstream alone":   {Entry{Repository: "docker.io"}, "repository"},
		"no name":             {Entry{Repository: "docker.io/A"}, "repository"},
		"no patterns":         {Entry{Repository: app, Tags: []string{"1", "[", ""}}, "tags[1] tags[2]"},
		"too many":            {Entry{Repository: app, Tags: many}, "tags"},
		"no conditions":       {Entry{Repository: app, Versions: "3.18"}, "versions"},
		"blanks":              {Entry{Repository: app, Versions: " "}, "versions"},
		"alternatives":        {Entry{Repository: app, Versions: ">=1 || <2"}, "versions"},
		"last of nothing":     {Entry{Repository: app, Last: 1}, "last"},
		"less than none":      {Entry{Repository: app, Versions: ">=1", Last: -1}, "last"},
		"no platforms":        {Entry{Repository: app, Platforms: []string{"linux", "linux/amd64", "a//b", "a/b/c/d"}}, "platforms[0] platforms[2] platforms[3]"},
		"less than a minute":  {Entry{Repository: app, Every: time.Second}, "every"},
		"less than no time":   {Entry{Repository: app, Every: -time.Hour}, "every"},
		"everything at once…": {Entry{Tags: []string{""}, Versions: "x", Last: -1, Platforms: []string{""}, Every: 1}, "repository tags[0] versions last platforms[0] every"},
	} {
		var got []string
		for _, f := range c.entry.Faults() {
			got = append(got, f.Field)
			if f.Text == "" || strings.Contains(f.Text, "\n") {
				t.Errorf("%s: %s says %q", name, f.Field, f.Text)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestNew_refuses(t *testing.T) {
	h := build(t)
	for name, c := range map[string]struct {
		entries []Entry
		want    string
	}{
		"what is wrong":    {[]Entry{{Repository: app, Last: 1}}, "last"},
		"another upstream": {[]Entry{{Repository: "other.example.com/team/app"}}, "no upstream other.example.com"},
		"one twice":        {[]Entry{{Repository: app}, {Repository: app}}, "twice"},
	} {
		_, err := New(Config{Through: h.through, Local: h.reg, Index: h.index, Entries: c.entries, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := New(Config{Through: h.through, Local: h.reg, Index: h.index, Entries: []Entry{{Repository: app}}}); err != nil {
		t.Error(err)
	}
}

func TestPlatform_runs(t *testing.T) {
	for _, c := range []struct {
		want string
		on   ocispec.Platform
		runs bool
	}{
		{"linux/amd64", ocispec.Platform{OS: "linux", Architecture: "amd64"}, true},
		{"linux/amd64", ocispec.Platform{OS: "windows", Architecture: "amd64"}, false},
		{"linux/amd64", ocispec.Platform{OS: "linux", Architecture: "arm64"}, false},
		{"linux/arm64", ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, true},
		{"linux/arm64/v8", ocispec.Platform{OS: "linux", Architecture: "arm64"}, true},
		{"linux/arm", ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}, true},
		{"linux/arm/v7", ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}, false},
		{"linux/arm/v7", ocispec.Platform{OS: "linux", Architecture: "arm"}, false},
	} {
		p, err := parsePlatform(c.want)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.runs(&c.on); got != c.runs {
			t.Errorf("%s on %+v: %v, want %v", c.want, c.on, got, c.runs)
		}
	}
}

func TestAttachedTo(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	for tag, want := range map[string]string{
		"sha256-" + hex: "sha256-" + hex, "sha256-" + hex + ".sig": "sha256-" + hex, "sha256-" + hex + ".x.y": "sha256-" + hex,
		"sha512-" + hex: "sha512-" + hex, "sha512-" + hex + hex + ".att": "sha512-" + hex + hex,
		"sha256-" + hex[1:]: "", "sha256-" + hex + hex: "", "sha256-" + hex + "x": "", "sha1-" + hex: "", "latest": "", "sha256-" + strings.ToUpper(hex): "",
	} {
		if got := attachedTo(tag); got != want {
			t.Errorf("%s: %q, want %q", tag, got, want)
		}
	}
}

// An upstream that lists without an end is left.
func TestChoose_is_bounded(t *testing.T) {
	s, err := newSelection(Entry{Repository: app})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	_, err = s.choose(func(yield func(string, error) bool) {
		for yield("x"+strings.Repeat("y", n%100)+string(rune('a'+n%26))+time.Duration(n).String(), nil) {
			n++
		}
	})
	if err == nil || n > maxTags+1 {
		t.Errorf("%v after %d tags", err, n)
	}
	if tags, ok := s.listless(); ok {
		t.Errorf("all tags are known without a list: %q", tags)
	}
	s.Tags = []string{"b", "a", "b"}
	if tags, ok := s.listless(); !ok || !slices.Equal(tags, []string{"a", "b"}) {
		t.Errorf("%q, %v", tags, ok)
	}
}
