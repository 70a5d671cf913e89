package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func blobOf(content string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "text/plain", Digest: digest.FromString(content), Size: int64(len(content))}
}

func TestCheckedReader(t *testing.T) {
	for _, c := range []struct {
		name, want, have, fault string
	}{
		{name: "right", want: "hello", have: "hello"},
		{name: "empty", want: "", have: ""},
		{name: "longer", want: "hello", have: "hello, world"}, // what comes after the end is never read
		{name: "other", want: "hello", have: "hallo", fault: "the content is sha256:"},
		{name: "shorter", want: "hello", have: "hel", fault: "it ends 2 bytes early"},
	} {
		for _, slow := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader} {
			got, err := io.ReadAll(check(slow(strings.NewReader(c.have)), blobOf(c.want)))
			if c.fault == "" {
				if err != nil || string(got) != c.want {
					t.Errorf("%s: got %q, %v", c.name, got, err)
				}
				continue
			}
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: error %v, want one with %q", c.name, err, c.fault)
			}
			if len(got) >= len(c.want) {
				t.Errorf("%s: wrong content was given out whole: %q", c.name, got)
			}
		}
	}
}

func TestCheckedReaderOfEmptyContentUnderAnotherDigest(t *testing.T) {
	d := blobOf("hello")
	d.Size = 0
	if _, err := io.ReadAll(check(bytes.NewReader(nil), d)); err == nil {
		t.Error("no bytes were taken for hello")
	}
}

func TestCheckedReaderKeepsItsFault(t *testing.T) {
	broken := errors.New("broken")
	c := check(io.MultiReader(strings.NewReader("he"), iotest.ErrReader(broken)), blobOf("hello"))
	if _, err := io.ReadAll(c); !errors.Is(err, broken) || !errors.Is(c.err, broken) {
		t.Errorf("got %v, kept %v", err, c.err)
	}
	bad := check(strings.NewReader("x"), ocispec.Descriptor{Digest: "sha256:../../etc/passwd", Size: 1})
	if _, err := io.ReadAll(bad); err == nil {
		t.Error("a digest that is none was accepted")
	}
}
