package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Names of the peers.
const (
	ours         = "entrepot"
	distribution = "distribution"
	ceiling      = "ceiling"
	overPostgres = "postgres"
)

// peer is a registry that can be built and started.
type peer struct {
	name  string
	about string
	ready string // answers 200 when the server is ready
	disk  bool   // keeps what was pushed when it is started again
	quiet bool   // what it prints is thrown away, not kept: it prints a line a request
	build func(ctx context.Context, t *tree) (binary string, err error)
	// command returns the arguments that serve at addr from dir, and variables for the environment.
	command func(dir, addr string) (args, env []string, err error)
	stand   func(dir string) (*ground, error) // starts what the server stands on, where that is more than its folder
}

var peers = []*peer{
	{
		name: ours, about: "this tree", ready: "/readyz", disk: true, build: buildOurs, command: serveOurs,
	},
	{
		name: overPostgres, about: "this tree, the index in PostgreSQL and content in S3", ready: "/readyz", disk: true, build: buildOurs, command: serveOurs, stand: onServers,
	},
	{
		name: distribution, about: "distribution 3.1.2, filesystem", ready: "/v2/", disk: true,
		build: func(ctx context.Context, t *tree) (string, error) {
			return t.buildPeer(ctx, "distribution", "github.com/distribution/distribution/v3/cmd/registry")
		},
		command: func(dir, addr string) ([]string, []string, error) {
			path := filepath.Join(dir, "config.yml")
			err := os.WriteFile(path, fmt.Appendf(nil, distributionConfig, filepath.Join(dir, "data"), addr), 0o600)
			return []string{"serve", path}, []string{"OTEL_TRACES_EXPORTER=none"}, err
		},
	},
	{
		name: ceiling, about: "crane registry serve 0.22.1, in memory", ready: "/v2/", quiet: true,
		build: func(ctx context.Context, t *tree) (string, error) {
			return t.buildPeer(ctx, "crane", "github.com/google/go-containerregistry/cmd/crane")
		},
		command: func(_, addr string) ([]string, []string, error) {
			return []string{"registry", "serve", "--address", addr}, nil, nil
		},
	},
}

// buildOurs builds this tree once for all peers that are made of it.
func buildOurs(ctx context.Context, t *tree) (string, error) {
	if bin := os.Getenv("ENTREPOT_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	bin := filepath.Join(t.temp, "entrepot")
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	return bin, goBuild(ctx, t.root, bin, "./cmd/entrepot")
}

func serveOurs(_, addr string) ([]string, []string, error) {
	return []string{"serve"}, []string{"ENTREPOT_LISTEN=" + addr}, nil
}

// distributionConfig is what distribution ships as its example, without authentication and the port for debugging, and quiet: its
// cache of blob descriptors is on, as it is there.
const distributionConfig = `version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: %s
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
http:
  addr: %s
`

// tree is where things are built: the source tree, the folder that outlives a run, and the run's own.
type tree struct {
	root  string
	cache string
	temp  string
}

// findTree finds the source tree around the working directory and makes the run's folder below dir.
func findTree(dir string) (*tree, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("find the source tree: %w", err)
	}
	t := &tree{root: filepath.Dir(strings.TrimSpace(string(out)))}
	if _, err := os.Stat(filepath.Join(t.root, "conformance", "bench", "peers", "go.mod")); err != nil {
		return nil, fmt.Errorf("run this inside the source tree: %w", err)
	}
	t.cache = filepath.Join(t.root, ".cache", "bench")
	if err := os.MkdirAll(t.cache, 0o755); err != nil {
		return nil, err
	}
	t.temp, err = os.MkdirTemp(dir, "entrepot-bench-")
	return t, err
}

// buildPeer builds a program of the peers' module, once for each state of that module and each Go.
func (t *tree) buildPeer(ctx context.Context, name, pkg string) (string, error) {
	dir := filepath.Join(t.root, "conformance", "bench", "peers")
	state := sha256.New()
	fmt.Fprintln(state, runtime.Version(), pkg)
	for _, f := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			return "", err
		}
		state.Write(b)
	}
	bin := filepath.Join(t.cache, name+"-"+hex.EncodeToString(state.Sum(nil)[:6]))
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	fmt.Fprintf(os.Stderr, "building %s, which takes a minute the first time\n", name)
	// Built beside and renamed, so that a build cut short leaves nothing that looks whole.
	made := filepath.Join(t.cache, filepath.Base(t.temp)+"-"+name)
	defer os.Remove(made)
	if err := goBuild(ctx, dir, made, pkg); err != nil {
		return "", err
	}
	return bin, os.Rename(made, bin)
}

func goBuild(ctx context.Context, dir, out, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-o", out, pkg)
	cmd.Dir = dir
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, b)
	}
	return nil
}
