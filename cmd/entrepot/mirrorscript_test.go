package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// TestMirrorScripts has two registries for each session: one that mirrors, and its upstream, in UPSTREAM. `gone` kills the upstream.
func TestMirrorScripts(t *testing.T) {
	t.Run("sessions", func(t *testing.T) {
		var up *program.Program
		testscript.Run(t, testscript.Params{
			Dir: "testdata/mirror",
			Setup: func(e *testscript.Env) error {
				up = program.Start(t)
				const config = `
upstreams:
  - {name: up.example.com, urls: [%q]}
mirror:
  - {repository: up.example.com/team/app, versions: ">=1 <3", last: 2, platforms: [linux/amd64], every: 0s}
  - {repository: up.example.com/team/none, every: 0s}
`
				e.Setenv(envServer, program.Start(t, program.Config(fmt.Sprintf(config, up.URL))).Addr)
				e.Setenv("UPSTREAM", up.Addr)
				e.Setenv("DOCKER_CONFIG", filepath.Join(e.WorkDir, "docker"))
				return nil
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"gone": func(*testscript.TestScript, bool, []string) { up.Kill() },
			},
		})
	})
}

// TestMirror_goes_on_after_a_kill of the registry in the middle of a run: what it has fetched is not fetched again.
func TestMirror_goes_on_after_a_kill(t *testing.T) {
	up := upstreamtest.New(t)
	for i := range 8 {
		up.PushImage("team/app", fmt.Sprintf("1.%d", i), 100_000)
	}
	up.Fault(func(r upstreamtest.Request) upstreamtest.Fault {
		if r.Kind == "manifests" && r.Ref >= "1.4" {
			return upstreamtest.HangBeforeHeaders()
		}
		return nil
	})
	p := program.Start(t, program.Config(fmt.Sprintf("upstreams: [{name: up.example.com, urls: [%q]}]\nmirror: [{repository: up.example.com/team/app, every: 0s}]\n", up.URL)))
	began := make(chan struct{})
	go func() {
		defer close(began)
		if code, out, _ := mirrorSays(t, p.URL, "run"); code != 1 {
			t.Errorf("a run that was cut ends with %d: %s", code, out)
		}
	}()
	half := func() bool {
		_, out, _ := mirrorSays(t, p.URL, "ls")
		return strings.Contains(out, "4 of 8 tags")
	}
	for end := time.Now().Add(time.Minute); !half(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("half of it does not come")
		}
	}
	p.Kill()
	<-began
	up.Fault(nil)
	up.Forget()
	p.Restart()
	code, out, log := mirrorSays(t, p.URL, "run")
	if code != 0 || !strings.Contains(out, "8 tags with 8 manifests and 16 blobs") || up.Asked("blobs") != 8 {
		t.Errorf("%d, %d blobs were asked for, want 8: %s%s", code, up.Asked("blobs"), out, log)
	}
}
