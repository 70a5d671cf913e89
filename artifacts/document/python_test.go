//go:build clients

package document

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// python runs a program in a folder, with Debian's own interpreter and its yaml module, whatever else is in the path.
func python(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	const interpreter = "/usr/bin/python3"
	if out, err := exec.Command(interpreter, "-c", "import yaml").CombinedOutput(); err != nil {
		t.Fatalf("python3 and its yaml module are needed: apt-get install python3-yaml (%v: %s)", err, out)
	}
	cmd := exec.CommandContext(t.Context(), interpreter, append([]string{"-c", program}, args...)...)
	cmd.Dir = dir
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3 %q: %v", args, err)
	}
	return string(out)
}

// The helper that pipelines have, unchanged, on what the registry renders.
func TestClients_get_latest_version_runs_on_the_rendered_index(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "index"), 0o755); err != nil {
		t.Fatal(err)
	}
	helper, err := os.ReadFile("testdata/get_latest_version.py")
	if err != nil {
		t.Fatal(err)
	}
	ask := string(helper) + "\nimport sys\nprint(repr(get_latest_version(sys.argv[1])))\n"
	for _, c := range []struct {
		rows            []Latest
		component, want string
	}{
		{rendered()["components"].(*Components).Components, "cloud/dmp/ms-ingestion", "'1.0.2'\n"},
		{rendered()["components"].(*Components).Components, "ran/1/2", "'v1.0.0-1.2+e5'\n"},
		{rendered()["components"].(*Components).Components, "cloud/dmp/unknown", "None\n"},
		{[]Latest{{"on/off/1", "1.0.0-1e5"}}, "on/off/1", "'1.0.0-1e5'\n"},
		{nil, "cloud/dmp/ms-ingestion", "None\n"},
	} {
		if err := os.WriteFile(filepath.Join(dir, "index", "components.yaml"), Render(&Components{Components: c.rows}), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := python(t, dir, ask, c.component); got != c.want {
			t.Errorf("get_latest_version(%q) = %q, want %q", c.component, got, c.want)
		}
	}
}

// Python reads YAML 1.1, where more words and digits mean something: everything rendered is text there, too.
func TestClients_python_reads_the_same_values(t *testing.T) {
	const dump = "import json, sys, yaml\nprint(json.dumps(yaml.safe_load(open(sys.argv[1])), default=lambda t: t.isoformat()))\n"
	for name, doc := range rendered() {
		path, err := filepath.Abs(filepath.Join("testdata", "rendered", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(python(t, t.TempDir(), dump, path)), &got); err != nil {
			t.Fatal(err)
		}
		switch d := doc.(type) {
		case *Manifest:
			if got["version"] != d.Version || got["format"] != d.Format || d.SHA256 != "" && got["sha256"] != d.SHA256 {
				t.Errorf("%s: got %v", name, got)
			}
			labels, _ := got["labels"].(map[string]any)
			for key, want := range d.Labels {
				if labels[key] != want {
					t.Errorf("%s: label %q is %#v, want %q", name, key, labels[key], want)
				}
			}
		case *Metadata:
			if got["group"] != d.Group || got["service_name"] != d.ServiceName || d.Team != "" && got["team"] != d.Team {
				t.Errorf("%s: got %v", name, got)
			}
		case *Ownership:
			if got["slack_channel"] != d.SlackChannel || got["source_repo"] != d.SourceRepo || got["ci_pipeline"] != d.CIPipeline {
				t.Errorf("%s: got %v", name, got)
			}
		case *Policy:
			rules, _ := got["rules"].(map[string]any)
			for id, want := range d.Rules {
				if rules[id] != want {
					t.Errorf("%s: rule %q is %#v, want %q", name, id, rules[id], want)
				}
			}
		}
	}
}
