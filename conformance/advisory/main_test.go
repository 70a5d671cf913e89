package advisory

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// The program that most tests share; those that configure it start one of their own.
var (
	shared *program.Program
	reg    *wire.Registry
)

func TestMain(m *testing.M) {
	os.Exit(wire.Main(m, func(p *program.Program) { shared, reg = p, wire.At(p.URL) }))
}

const (
	image = ocispec.MediaTypeImageManifest
	index = ocispec.MediaTypeImageIndex
)

// absent is a well-formed digest of content that was never pushed.
func absent() digest.Digest { return digest.FromBytes(wire.Random(32)) }

// memory returns one of the program's sizes (VmRSS, VmHWM) in bytes, as the kernel counts them.
func memory(t testing.TB, p *program.Program, field string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		if rest, found := strings.CutPrefix(lines.Text(), field+":"); found {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("/proc tells no %s", field)
	return 0
}

func itoa(n int) string { return strconv.Itoa(n) }
