package main

import (
	"bytes"
	"context"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/entrepot/entrepot/conformance/program"
)

// keeping is a configuration by which little is kept for long.
const keeping = `
gc: {every: 0s, grace: 1s, delay: 1s}
retention:
  - {repositories: ["cloud/**"], tags: ["pr-*"], keepLast: 2}
  - {repositories: ["cloud/**"], tags: ["1.*"], keepLast: 1}
  - {repositories: ["team/*"], keepLast: 1}
  - {repositories: ["**"], untagged: 1m}
quotas:
  - {on: small, tags: 2, bytes: 1MiB}
  - {on: "**", repositories: 100}
`

// TestRetentionScripts has a registry of its own for each session. `until PATTERN VERB…` has a verb print something, sooner or later; `digest NAME REPOSITORY TAG`
// puts the digest that a tag names into a variable.
func TestRetentionScripts(t *testing.T) {
	t.Run("sessions", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: "testdata/retention",
			Setup: func(e *testscript.Env) error {
				e.Setenv(envServer, program.Start(t, program.Config(keeping)).Addr)
				e.Setenv("DOCKER_CONFIG", filepath.Join(e.WorkDir, "docker"))
				return nil
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){"until": until, "digest": digestCommand},
		})
	})
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[0])
	environ := []string{envServer + "=" + ts.Getenv(envServer), "DOCKER_CONFIG=" + ts.Getenv("DOCKER_CONFIG")}
	var out, log bytes.Buffer
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		out.Reset()
		log.Reset()
		run(ctx, args[1:], nil, &out, &log, environ)
		cancel()
		if pattern.Match(out.Bytes()) {
			return
		}
	}
	ts.Fatalf("%q does not print %s, but last %s%s", args[1:], args[0], out.String(), log.String())
}

func digestCommand(ts *testscript.TestScript, _ bool, args []string) {
	client := &http.Client{Timeout: time.Minute}
	res, err := client.Head("http://" + ts.Getenv(envServer) + "/v2/" + args[1] + "/manifests/" + args[2])
	ts.Check(err)
	_ = res.Body.Close()
	d := res.Header.Get("Docker-Content-Digest")
	if d == "" {
		ts.Fatalf("%s:%s is answered %s, without a digest", args[1], args[2], res.Status)
	}
	ts.Setenv(args[0], d)
}
