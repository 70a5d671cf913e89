package artifacts

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
)

// contentOf says what an artifact is: its artifact type and its content, in order and with the names of the files, and nothing else of the manifest. The same
// files pushed twice have two manifests, since clients stamp the time into each, but they are the same content.
func contentOf(m registry.Manifest) string {
	h := sha256.New()
	if kind := m.ReferrerType(); kind == typeUnknown {
		line(h, "")
	} else {
		line(h, kind)
	}
	if m.Config != nil && Kind(byType[m.Config.MediaType]) == Docker {
		line(h, string(m.Config.Digest))
	}
	for _, l := range m.Layers {
		line(h, string(l.Digest), l.Annotations[ocispec.AnnotationTitle])
	}
	for _, child := range m.Manifests {
		platform := ""
		if p := child.Platform; p != nil {
			platform = fmt.Sprintf("%s/%s/%s", p.OS, p.Architecture, p.Variant)
		}
		line(h, string(child.Digest), platform)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// line writes parts so that no two lists of them are the same text.
func line(h hash.Hash, parts ...string) {
	for _, p := range parts {
		fmt.Fprintf(h, "%q ", p)
	}
	h.Write([]byte{'\n'})
}
