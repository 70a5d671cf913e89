package suite

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestBuild_refuses_one_package_with_two_contents(t *testing.T) {
	hello := pkg("hello", "1.0-1", "amd64")
	other := func(change func(*Package)) Package {
		p := pkg("hello", "1.0-1", "amd64")
		p.SHA256 = sum([]byte("other bytes"))
		p.Filename = "pool/cloud/dmp/other/hello_1.0-1_amd64.deb"
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		other    Package
		conflict bool
	}{
		"the same":                      {other(func(*Package) {}), true},
		"the same in another component": {other(func(p *Package) { p.Component = "ops" }), true},
		"the same with an epoch of 0": {other(func(p *Package) {
			p.Version, p.Control = "0:1.0-1", strings.Replace(p.Control, "Version: 1.0-1", "Version: 0:1.0-1", 1)
		}), true},
		"the same with another size": {other(func(p *Package) { p.SHA256, p.Size = hello.SHA256, 5 }), true},
		"another version in the same file": {func() Package {
			p := pkg("hello", "1:1.0-1", "amd64")
			return p
		}(), true},
		"the same bytes elsewhere":                {other(func(p *Package) { p.SHA256 = hello.SHA256 }), false},
		"the same bytes in another component":     {other(func(p *Package) { p.SHA256, p.Component = hello.SHA256, "ops" }), false},
		"another architecture":                    {pkg("hello", "1.0-1", "arm64"), false},
		"another version":                         {pkg("hello", "1.0-2", "amd64"), false},
		"another version with the epoch, its own": {func() Package { p := pkg("hello", "1:1.0-1", "amd64"); p.Filename += "2"; return p }(), false},
	} {
		for _, packages := range [][]Package{{hello, c.other}, {c.other, pkg("zzz", "1", "all"), hello}} {
			_, err := Build(cloud, packages, noon, []Signer{signer(t, noon)}, nil)
			var conflict *Conflict
			if errors.As(err, &conflict) != c.conflict {
				t.Errorf("%s: %v, want a conflict: %t", name, err, c.conflict)
				continue
			}
			if !c.conflict {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			for _, p := range []Package{hello, c.other} {
				if !strings.Contains(err.Error(), p.Filename) || !strings.Contains(err.Error(), p.SHA256) || !strings.Contains(err.Error(), p.Version) {
					t.Errorf("%s: %q does not name both packages", name, err)
				}
			}
			if got := []string{conflict.One.SHA256, conflict.Other.SHA256}; !slices.Contains(got, hello.SHA256) || !slices.Contains(got, c.other.SHA256) {
				t.Errorf("%s: the conflict is between %q", name, got)
			}
		}
	}
}

func TestBuild_lists_a_file_once_in_a_component(t *testing.T) {
	twice := pkg("hello", "1.0", "amd64")
	twice.Filename = "pool/cloud/dmp/another/hello_1.0_amd64.deb"
	elsewhere := pkg("hello", "1.0", "amd64")
	elsewhere.Component, elsewhere.Filename = "ops", "pool/cloud/ops/hello/hello_1.0_amd64.deb"
	s := build1(t, cloud, []Package{pkg("hello", "1.0", "amd64"), twice, elsewhere}, noon, nil)
	for path, want := range map[string]string{
		"dmp/binary-amd64/Packages": twice.Filename, // the first of the two
		"ops/binary-amd64/Packages": elsewhere.Filename,
	} {
		text := s.text(t, path)
		if strings.Count(text, "Package: hello\n") != 1 || field(text, "Filename") != want {
			t.Errorf("%s lists it so: %s", path, text)
		}
	}
}
