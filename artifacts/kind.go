// Package artifacts knows what people keep in a registry besides images: which kind of artifact a manifest is.
//
// The kinds are told from the outside in: by the manifest's artifactType, then by its config's and its layers' media types, then by the names
// of its files, because people push with plain tools and set what they know.
//
//	artifacts.Classify(manifestBytes) // "docker", "deb", "generic", "chart", "signature", …
package artifacts

import (
	"encoding/json"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Kind is what an artifact is.
type Kind string

// The kinds.
const (
	Docker     Kind = "docker"     // an image, or an index of images
	Deb        Kind = "deb"        // Debian packages
	Generic    Kind = "generic"    // files
	Release    Kind = "release"    // an index that ties the formats of a version together
	Document   Kind = "document"   // manifest.yaml, metadata.yaml, ownership.yaml, policy.yaml
	Chart      Kind = "chart"      // a Helm chart
	Signature  Kind = "signature"  // of cosign or notation
	SBOM       Kind = "sbom"       // SPDX or CycloneDX
	Provenance Kind = "provenance" // in-toto
	Other      Kind = "artifact"   // something else
)

// Types of our own. They stand inside digests and therefore never change.
const (
	TypeDeb       = "application/vnd.entrepot.deb.v1"
	TypeGeneric   = "application/vnd.entrepot.generic.v1"
	TypeRelease   = "application/vnd.entrepot.release.v1"
	TypeBuild     = "application/vnd.entrepot.build-manifest.v1+yaml"
	TypeMetadata  = "application/vnd.entrepot.metadata.v1+yaml"
	TypeOwnership = "application/vnd.entrepot.ownership.v1+yaml"
	TypePolicy    = "application/vnd.entrepot.policy.v1+yaml"
	TypeSuite     = "application/vnd.entrepot.apt-suite.v1"  // a snapshot of an apt suite
	TypeIndex     = "application/vnd.entrepot.index.v1+yaml" // components.yaml, domain-*.yaml

	// typeUnknown is what oras writes when nobody has said what an artifact is.
	typeUnknown = "application/vnd.unknown.artifact.v1"

	// TypeDebPackage is the media type of a .deb, as registered with IANA.
	TypeDebPackage = "application/vnd.debian.binary-package"
)

// byType tells kinds by media types, whether they stand as artifactType, at the config or at a layer.
var byType = map[string]Kind{
	TypeDeb: Deb, TypeDebPackage: Deb, TypeGeneric: Generic, TypeRelease: Release,
	TypeBuild: Document, TypeMetadata: Document, TypeOwnership: Document, TypePolicy: Document,
	ocispec.MediaTypeImageConfig:                          Docker,
	"application/vnd.docker.container.image.v1+json":      Docker,
	"application/vnd.cncf.helm.config.v1+json":            Chart,
	"application/vnd.cncf.helm.chart.content.v1.tar+gzip": Chart,
	"application/vnd.cncf.notary.signature":               Signature,
	"application/vnd.dev.cosign.simplesigning.v1+json":    Signature,
	"application/vnd.dev.cosign.artifact.sig.v1+json":     Signature,
	"application/vnd.dev.sigstore.bundle.v0.3+json":       Signature,
	"application/spdx+json":                               SBOM,
	"text/spdx":                                           SBOM,
	"application/vnd.cyclonedx+json":                      SBOM,
	"application/vnd.cyclonedx+xml":                       SBOM,
	"application/vnd.in-toto+json":                        Provenance,
}

// documents are the files that are documents by their name.
var documents = map[string]bool{"manifest.yaml": true, "metadata.yaml": true, "ownership.yaml": true, "policy.yaml": true}

// Classify tells the kind of a manifest. What is no manifest is Other.
func Classify(manifest []byte) Kind {
	var m struct {
		MediaType    string               `json:"mediaType"`
		ArtifactType string               `json:"artifactType"`
		Config       *ocispec.Descriptor  `json:"config"`
		Layers       []ocispec.Descriptor `json:"layers"`
		Manifests    []ocispec.Descriptor `json:"manifests"`
	}
	if json.Unmarshal(manifest, &m) != nil {
		return Other
	}
	if m.ArtifactType == typeUnknown {
		m.ArtifactType = ""
	}
	if kind, ok := byType[m.ArtifactType]; ok {
		return kind
	}
	if m.Manifests != nil {
		if m.ArtifactType == "" {
			return Docker
		}
		return Other
	}
	if m.Config == nil {
		return Other
	}
	if kind, ok := byType[m.Config.MediaType]; ok {
		return kind
	}
	files := false
	for _, l := range m.Layers {
		name := l.Annotations[ocispec.AnnotationTitle]
		if kind, ok := byType[l.MediaType]; ok {
			return kind
		}
		switch {
		case strings.HasSuffix(name, ".deb"):
			return Deb
		case documents[name]:
			return Document
		}
		files = files || name != ""
	}
	if files && m.ArtifactType == "" {
		return Generic
	}
	return Other
}
