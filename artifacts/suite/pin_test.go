package suite

import (
	"strings"
	"testing"
)

func TestPin_names_the_newest_version_for_each_architecture(t *testing.T) {
	text, err := Pin(append(few(), pkg("hello", "1.0-1", "all"), pkg("zlib-x", "2:1.0~rc1+b1-0.1", "arm64"), pkg("zlib-x", "2:1.0-1", "amd64"), pkg("zlib-x", "1:9", "amd64")))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "preferences", text)
	if text, err := Pin(nil); text != "" || err != nil {
		t.Errorf("no packages: %q, %v", text, err)
	}
}

func TestPin_refuses_what_would_break_out(t *testing.T) {
	for name, change := range map[string]func(*Package){
		"two lines": func(p *Package) { p.Name = "hello\nPackage: *" },
		"all":       func(p *Package) { p.Name = "*" },
		"a pattern": func(p *Package) { p.Name = "/./" },
		"two words": func(p *Package) { p.Name = "hello world" },
		"a version": func(p *Package) { p.Version = "1.*" },
		"more":      func(p *Package) { p.Version = "1.0\nPin-Priority: 1" },
		"machine":   func(p *Package) { p.Architecture = "amd64\n" },
	} {
		p := pkg("hello", "1.0", "amd64")
		change(&p)
		if text, err := Pin([]Package{p}); err == nil || text != "" || !strings.Contains(err.Error(), "pin package") {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}
