package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/manage"
	"github.com/entrepot/entrepot/registry/upstream"
	"github.com/entrepot/entrepot/registry/upstream/mirror"
	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/kv"
)

// mirroring is a registry that mirrors repositories of an upstream; it returns its address.
func mirroring(t *testing.T, entries ...mirror.Entry) (*upstreamtest.Upstream, string) {
	t.Helper()
	up, index := upstreamtest.New(t), kv.NewMemory()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	reg, err := registry.Open(t.Context(), registry.Config{Blobs: blob.NewMemory(), Index: index})
	must(err)
	r, err := remote.New(remote.Config{Name: "up.example.com", URLs: []string{up.URL}})
	must(err)
	t.Cleanup(r.Close)
	through, err := upstream.New(upstream.Config{Local: reg, Below: reg, Index: index, Upstreams: []upstream.Upstream{{Remote: r}}})
	must(err)
	mirrors, err := mirror.New(mirror.Config{Through: through, Local: reg, Index: index, Entries: entries})
	must(err)
	server := httptest.NewServer(door.New(door.Config{Policy: auth.Open}, manage.Routes(manage.Config{Mirrors: mirrors})...))
	t.Cleanup(server.Close)
	return up, server.URL
}

// mirrorSays runs one of the verbs, and returns its exit status and what it has printed.
func mirrorSays(t *testing.T, server string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, log bytes.Buffer
	args = append(append([]string{"mirror"}, args...), "--server", server)
	code = run(ctx, args, nil, &out, &log, []string{"DOCKER_CONFIG=" + t.TempDir()})
	return code, out.String(), log.String()
}

func TestMirror_run_and_ls(t *testing.T) {
	up, server := mirroring(t, mirror.Entry{Repository: "up.example.com/team/app", Every: 36 * time.Hour}, mirror.Entry{Repository: "up.example.com/team/tool"})
	for _, tag := range []string{"1.0", "2.0"} {
		up.PushImage("team/app", tag, 1000)
	}
	up.PushImage("team/tool", "1.0", 1000)
	code, out, _ := mirrorSays(t, server, "ls")
	if code != 0 || !strings.Contains(out, "up.example.com/team/app   36h") || !strings.Contains(out, "up.example.com/team/tool  by hand") {
		t.Errorf("%d: %s", code, out)
	}
	code, out, log := mirrorSays(t, server, "run", "up.example.com/team/app")
	if code != 0 || !strings.Contains(out, "up.example.com/team/app: 2 tags with 2 manifests and 4 blobs, ") || strings.Contains(out, "failed") {
		t.Errorf("%d: %s", code, out)
	}
	if !strings.Contains(log, "up.example.com/team/app: 2 of 2 tags, 4 of 4 blobs") {
		t.Errorf("it does not tell how far it is: %s", log)
	}
	if code, out, _ := mirrorSays(t, server, "run"); code != 0 || strings.Count(out, "\n") != 2 || !strings.Contains(out, "team/tool: 1 tags") || !strings.Contains(out, "; fetched 0 B in ") {
		t.Errorf("%d: %s", code, out)
	}
	if _, out, _ = mirrorSays(t, server, "ls"); !strings.Contains(out, "2 tags, 2.") {
		t.Errorf("%s", out)
	}
	code, out, _ = mirrorSays(t, server, "run", "-o", "json")
	var results []mirror.Result
	if err := json.Unmarshal([]byte(out), &results); err != nil || code != 0 || len(results) != 2 || results[1].Tags.Done != 1 {
		t.Errorf("%d, %v: %s", code, err, out)
	}
	if _, out, _ := mirrorSays(t, server, "ls", "-o", "yaml"); !strings.Contains(out, "every: 36h0m0s") || !strings.Contains(out, "lastRun:") {
		t.Errorf("%s", out)
	}
}

// What fails is listed, and the exit status is 1; what is behind it is mirrored all the same.
func TestMirror_run_tells_what_failed(t *testing.T) {
	up, server := mirroring(t, mirror.Entry{Repository: "up.example.com/team/app"}, mirror.Entry{Repository: "up.example.com/team/tool"})
	image := up.PushImage("team/app", "1.0", 1000)
	up.PushImage("team/app", "2.0", 1000)
	up.PushImage("team/tool", "1.0", 1000)
	broken := string(image.Layers[0].Digest)
	up.Fault(func(r upstreamtest.Request) upstreamtest.Fault {
		if r.Ref == broken {
			return upstreamtest.WrongDigest()
		}
		return nil
	})
	code, out, _ := mirrorSays(t, server, "run")
	if code != 1 || !strings.Contains(out, "team/app: 1 tags") || !strings.Contains(out, "  failed: 1.0: blob "+broken) || !strings.Contains(out, "team/tool: 1 tags") {
		t.Errorf("%d: %s", code, out)
	}
	if _, out, _ := mirrorSays(t, server, "ls"); !strings.Contains(out, "1 failed; 1 tags") {
		t.Errorf("%s", out)
	}
	code, out, log := mirrorSays(t, server, "run", "up.example.com/team/nothing", "up.example.com/team/tool")
	if code != 1 || !strings.Contains(log, "mirror up.example.com/team/nothing: up.example.com/team/nothing is not mirrored") || !strings.Contains(out, "team/tool: 1 tags") {
		t.Errorf("%d: %s%s", code, out, log)
	}
}

// On a terminal a bar is drawn over the one before, in lines that no terminal wraps.
func TestMirrorView_draws(t *testing.T) {
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	t.Setenv("TERM", "xterm")
	v := newMirrorView(f) // a device, as a terminal is
	var out bytes.Buffer
	v.w = &out
	p := mirror.Progress{Repository: strings.Repeat("x", 200), Resting: true}
	p.Tags, p.Blobs, p.Bytes = mirror.Count{Done: 1 << 40, Known: 1 << 50}, mirror.Count{Known: 1 << 50}, mirror.Count{Done: 1 << 30, Known: 1 << 31}
	v.show(p)
	v.show(p)
	v.close()
	if got := out.String(); strings.Count(got, "\x1b[2A\x1b[J") != 2 || !strings.Contains(got, "[===============               ]") {
		t.Errorf("%q", got)
	}
	for line := range strings.Lines(strings.ReplaceAll(out.String(), "\x1b[2A\x1b[J", "")) {
		if len(line) > 80 {
			t.Errorf("a line of %d columns: %q", len(line), line)
		}
	}
}

func TestConfig_mirrors(t *testing.T) {
	upstreams := []UpstreamEntry{{Name: "docker.io"}, {Name: "off.example.com", Offline: true}}
	for name, c := range map[string]struct {
		entries []mirror.Entry
		want    string
	}{
		"good":            {[]mirror.Entry{{Repository: "docker.io/library/alpine", Versions: ">=3 <4", Last: 2}}, ""},
		"missing":         {[]mirror.Entry{{}}, "mirror[0].repository: missing"},
		"and more":        {[]mirror.Entry{{Last: 1}}, "mirror[0].last: "},
		"no upstream":     {[]mirror.Entry{{Repository: "quay.io/a/b"}}, "mirror[0].repository: there is no upstream quay.io"},
		"offline":         {[]mirror.Entry{{Repository: "off.example.com/a/b"}}, "mirror[0].repository: nothing is asked of off.example.com"},
		"twice":           {[]mirror.Entry{{Repository: "docker.io/alpine"}, {Repository: "docker.io/library/alpine"}}, "mirror[1].repository: docker.io/library/alpine is there twice"},
		"a wrong pattern": {[]mirror.Entry{{Repository: "docker.io/alpine", Tags: []string{"a", "["}}}, "mirror[0].tags[1]: "},
		"no name":         {[]mirror.Entry{{Repository: "alpine"}}, "mirror[0].repository: "},
	} {
		j := &judge{}
		j.mirrors(c.entries, upstreams)
		text := ""
		if len(j.faults) > 0 {
			text = j.faults.Error()
		}
		if c.want == "" && text != "" || !strings.Contains(text, c.want) || len(j.faults) > 1 && name != "and more" {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}
