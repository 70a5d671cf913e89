package spec

import (
	"os"
	"regexp"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// reg is the program that all tests of this package share; those that kill it or configure it start one of their own.
var reg *wire.Registry

func TestMain(m *testing.M) {
	os.Exit(wire.Main(m, func(p *program.Program) { reg = wire.At(p.URL) }))
}

const (
	image = ocispec.MediaTypeImageManifest
	index = ocispec.MediaTypeImageIndex
)

var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// absent is a well-formed digest of content that was never pushed.
func absent() digest.Digest { return digest.FromBytes(wire.Random(32)) }

// sameHeaders fails the test unless both replies carry the same headers; only the time of day may differ.
func sameHeaders(t *testing.T, get, head wire.Reply) {
	t.Helper()
	for _, side := range [][2]wire.Reply{{get, head}, {head, get}} {
		for name, values := range side[0].Header {
			if name == "Date" || name == "X-Request-Id" {
				continue
			}
			if got := side[1].Header.Values(name); len(got) != len(values) || got[0] != values[0] {
				t.Errorf("%s has %s: %q, %s has %q", side[0].Asked, name, values, side[1].Asked, got)
			}
		}
	}
}
