//go:build clients

package clients

import (
	"encoding/xml"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// alternatives are the specs of the suite that a registry cannot run together with their opposites. Each of them is left out
// exactly because its opposite ran, so that these and no others may be skipped.
var alternatives = map[string]string{
	"Get tag name from environment":                                                             "the suite pushes a tag itself",
	"Populate registry with test tags (no push)":                                                "the suite pushes the tags itself",
	"Cross-mounting of nonexistent blob should yield session id":                                "the mount was done (201)",
	"Cross-mounting without from, and automatic content discovery disabled should return a 202": "a mount without from finds the blob (201)",
}

// The public conformance suite with every workflow on: pull, push, content discovery and content management.
func TestSuite(t *testing.T) {
	r := registry(t)
	s := newSession(t)
	cmd := exec.Command(client(t, "suite"), "-test.timeout", "5m")
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "OCI_ROOT_URL=http://"+r, "OCI_NAMESPACE=suite/app", "OCI_CROSSMOUNT_NAMESPACE=suite/other",
		"OCI_TEST_PULL=1", "OCI_TEST_PUSH=1", "OCI_TEST_CONTENT_DISCOVERY=1", "OCI_TEST_CONTENT_MANAGEMENT=1",
		"OCI_AUTOMATIC_CROSSMOUNT=1", "OCI_HIDE_SKIPPED_WORKFLOWS=0")
	began := time.Now()
	out, err := cmd.CombinedOutput()

	var report struct {
		Cases []struct {
			Name    string    `xml:"name,attr"`
			Failure *string   `xml:"failure"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	}
	text, readErr := os.ReadFile(s.dir + "/junit.xml")
	if readErr == nil {
		readErr = xml.Unmarshal(text, &report)
	}
	if readErr != nil {
		t.Fatalf("the suite left no report: %v\n%s", readErr, out)
	}
	passed := 0
	for _, c := range report.Cases {
		switch {
		case c.Failure != nil:
			t.Errorf("failed: %s\n%s", c.Name, *c.Failure)
		case c.Skipped != nil:
			if reason := alternative(c.Name); reason != "" {
				t.Logf("not applicable: %s: %s", c.Name, reason)
				continue
			}
			t.Errorf("skipped: %s", c.Name)
		default:
			passed++
		}
	}
	// A suite that ran next to nothing would report no failure either.
	if want := 68 - len(alternatives); passed < want {
		t.Errorf("%d specs passed, want %d", passed, want)
	}
	if err != nil && !t.Failed() {
		t.Errorf("the suite ended with %v\n%s", err, out)
	}
	t.Logf("%d specs passed in %v", passed, time.Since(began).Round(time.Millisecond))
}

func alternative(name string) string {
	for spec, reason := range alternatives {
		if strings.HasSuffix(name, spec) {
			return reason
		}
	}
	return ""
}
