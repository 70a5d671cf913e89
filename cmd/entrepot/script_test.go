package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/entrepot/entrepot/conformance/program"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"entrepot": main,
		helperName: main,
		"sample":   sampleCommand,
	})
}

// TestScripts runs the sessions that need no registry.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: false})
}

// TestRegistryScripts runs the sessions with a registry. They share one, and each keeps to repositories named after itself.
// ENTREPOT_TEST_REGISTRY names another registry to run them against.
func TestRegistryScripts(t *testing.T) {
	server := os.Getenv("ENTREPOT_TEST_REGISTRY")
	if server == "" {
		server = program.Start(t).Addr
	}
	sessions(t, "testdata/registry", server)
}

// TestJournalScripts has a registry of its own: a session that reads the journal would see what the others do.
func TestJournalScripts(t *testing.T) {
	sessions(t, "testdata/journal", program.Start(t).Addr)
}

// TestAuthScripts has a registry for each session, which begins open to everybody. Nobody is logged in anywhere. `keep NAME PATTERN` keeps what the first
// group of a pattern finds in the last command's output in a variable.
func TestAuthScripts(t *testing.T) {
	t.Run("sessions", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: "testdata/auth",
			Setup: func(e *testscript.Env) error {
				p := program.Start(t)
				e.Setenv(envServer, p.Addr)
				e.Setenv("DOCKER_CONFIG", filepath.Join(e.WorkDir, "docker"))
				e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
				return nil
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){"keep": keepInVariable},
		})
	})
}

func keepInVariable(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("keep NAME PATTERN")
	}
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("%s is not in the output", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// sessions runs the scripts of a folder, in a subtest, so that the registry stays until the last of them has ended.
func sessions(t *testing.T, dir, server string) {
	t.Run("sessions", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: dir,
			Setup: func(e *testscript.Env) error {
				e.Setenv(envServer, server)
				return nil
			},
		})
	})
}

// TestExampleFile keeps the example in the root of the tree the same as what the program prints.
func TestExampleFile(t *testing.T) {
	var out bytes.Buffer
	if code := run(context.Background(), []string{"config", "example"}, nil, &out, os.Stderr, nil); code != 0 {
		t.Fatalf("config example: exit status %d", code)
	}
	kept, err := os.ReadFile("../../config.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), kept) {
		t.Error("config.example.yml differs from the output of: entrepot config example > config.example.yml")
	}
}
