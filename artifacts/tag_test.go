package artifacts

import "testing"

func TestScratch(t *testing.T) {
	for _, tag := range []string{"1.0.2", "v1.0.2", "1.0.2-rc.1", "1.0.2_build.5", "deb-1.0.2", "generic-1.0.2", "release-1.0.2", "commit-0a1b2c3", "cloud.prod", "ran.dev", "latest"} {
		if Scratch("cloud/dmp/x", tag) {
			t.Errorf("%s is taken for a scratch tag", tag)
		}
		if !Scratch("cloud/dmp", tag) || !Scratch("a/b/c/d", tag) {
			t.Errorf("%s promises something where there is no component", tag)
		}
	}
	for _, tag := range []string{"pr-17", "dev-x", "1.0", "01.0.2", "1.0.2.", "main", "commit-x", "deb-", "Latest", "cloud.Prod", "sha256-abc"} {
		if !Scratch("cloud/dmp/x", tag) {
			t.Errorf("%s is taken for a promise", tag)
		}
	}
}
