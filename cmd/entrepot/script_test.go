package main

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/entrepot/entrepot/conformance/program"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"entrepot": main,
		"sample":   sampleCommand,
	})
}

// TestScripts runs the sessions that need no registry.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: false})
}

// TestRegistryScripts runs the sessions with a registry. They share one, and each keeps to repositories named after itself.
func TestRegistryScripts(t *testing.T) {
	server := os.Getenv("ENTREPOT_TEST_REGISTRY")
	if server == "" {
		server = program.Start(t).Addr
	}
	t.Run("sessions", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: "testdata/registry",
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
