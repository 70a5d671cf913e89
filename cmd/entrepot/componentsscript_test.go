package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/conformance/program"
)

// TestComponentsScripts has a registry for each session, which is open to everybody. Besides what sessions about logins have, they have `image LAYOUT COMMIT`, which
// makes an image that was built just now from a commit, and `package FILE NAME VERSION`, which makes a Debian package.
func TestComponentsScripts(t *testing.T) {
	t.Run("sessions", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: "testdata/components",
			Setup: func(e *testscript.Env) error {
				e.Setenv(envServer, program.Start(t).Addr)
				e.Setenv("HOOKS", filepath.Join(program.Root(), "deploy", "hooks"))
				e.Setenv("DOCKER_CONFIG", filepath.Join(e.WorkDir, "docker"))
				e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
				return nil
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){"keep": keepInVariable, "image": imageInScript, "package": packageInScript},
		})
	})
}

func imageInScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("image LAYOUT COMMIT")
	}
	to, err := openLayoutTarget(ts.MkAbs(args[0]))
	ts.Check(err)
	s, layer := sample{to}, layerTar("hello", args[1])
	config := imageConfig("amd64", layer)
	now := time.Now().UTC()
	config.Created = &now
	config.Config.Labels["org.opencontainers.image.revision"] = args[1]
	content, err := json.Marshal(config)
	ts.Check(err)
	s.publish(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: s.put(ocispec.MediaTypeImageConfig, content), Layers: []ocispec.Descriptor{s.put(ocispec.MediaTypeImageLayerGzip, zip(layer))},
	}, "image")
	ts.Check(to.Commit())
}

func packageInScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("package FILE NAME VERSION")
	}
	file := debtest.Build(debtest.Spec{Package: args[1], Version: args[2], Files: map[string]string{"usr/share/" + args[1] + "/text": strings.Repeat(args[2], 3)}})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), file, 0o600))
}
