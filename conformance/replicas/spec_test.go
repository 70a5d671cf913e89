//go:build backends

package replicas

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/program"
)

// ofOne are the suite's tests that configure a program of their own: the stand-in has no configuration, and replicas do not lie in its folder.
const ofOne = "^(TestContentManagement_Disabled|TestCancelABlobUpload_UnfinishedOnesExpire)$"

// TestSpecification_through_many_replicas runs the whole suite of package spec, which believes to speak to one program.
func TestSpecification_through_many_replicas(t *testing.T) {
	s := newStores(t)
	s.direct = true // the suite follows no redirect
	h := start(t, s, 3, open)
	suite := filepath.Join(t.TempDir(), "spec.test")
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", suite, "./conformance/spec")
	build.Dir = program.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the suite: %v\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var addrs []string
	for _, p := range h.replicas {
		addrs = append(addrs, p.Addr)
	}
	run := exec.CommandContext(ctx, suite, "-test.skip="+ofOne, "-test.timeout=7m")
	run.Dir = filepath.Join(program.Root(), "conformance", "spec")
	run.Env = append(os.Environ(), program.Binary+"="+self, behind+"="+strings.Join(addrs, ","))
	out, err := run.CombinedOutput()
	if err != nil {
		t.Errorf("the suite: %v\n%s\n%s", err, out, h.logs())
	}
}
