package apt

import (
	"strings"
	"testing"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/registry"
)

// FuzzMatch: whatever the path, a policy is asked about a suite or a component of a true name, and the path is the one that is made of them.
func FuzzMatch(f *testing.F) {
	for _, path := range []string{
		"/apt", "/apt/dists/cloud-prod/InRelease", "/apt/dists/cloud-prod/dmp/binary-amd64/by-hash/SHA256/00", "/apt/snapshots/20260102T030405Z/dists/cloud-prod/Release",
		pool + "hello_1.0~rc1+b2_amd64.deb", "/apt/snapshots/20260102T030405Z/pool/cloud/dmp/x/y.deb", upload + "x.deb", "/apt/pin/cloud-prod", "/apt/pin/..", "/apt/dists/../x/..",
		"/apt/snapshots/20260102T030405Z/snapshots/20260102T030405Z/dists/x/y", "/apt/pool/a/b/c/\x00", "/v2/apt/dists/x/y",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		for name, m := range map[string]struct {
			match
			folder    string
			component bool
		}{
			"dists": {suiteFile, "/apt/dists/", false}, "snapshot": {snapshotFile, "/apt/snapshots/", false}, "pin": {pinOf, "/apt/pin/", false},
			"pool": {poolFile, "/apt/", true}, "upload": {uploadOf, "/apt/upload/", true},
		} {
			on, last, ok := m.match(path)
			if !ok {
				if on != "" || last != "" {
					t.Errorf("%s: %q does not match, and names %q, %q", name, path, on, last)
				}
				continue
			}
			what, isSuite := strings.CutPrefix(on, "apt/")
			file := last[strings.LastIndexByte(last, '/')+1:]
			switch {
			case !strings.HasPrefix(path, m.folder), last == "", !strings.HasSuffix(path, file):
				t.Errorf("%s: %q names %q of %q", name, path, last, on)
			case !m.component && (!isSuite || suite.CheckName(what) != nil || !strings.Contains(path, "/"+what)):
				t.Errorf("%s: %q is of %q, which is no suite", name, path, on)
			case m.component && (!artifacts.IsComponent(on) || !registry.ValidName(on) || !strings.HasSuffix(path, "/"+on+"/"+last) || strings.Contains(last, "/")):
				t.Errorf("%s: %q is of %q, which is no component", name, path, on)
			}
			if name == "snapshot" {
				if date, _, _ := strings.Cut(last, "/"); len(date) != len(dateForm) {
					t.Errorf("%q has the date %q", path, date)
				}
			}
		}
	})
}
