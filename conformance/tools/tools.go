//go:build tools

// Package tools pins the Go-built clients and checkers that the conformance tests run. The module is apart from the product's
// own, so that what a client needs never weighs on what the registry imports; ./build makes the binaries.
package tools

import (
	_ "github.com/distribution/distribution/v3/cmd/registry"
	_ "github.com/google/go-containerregistry/cmd/crane"
	_ "github.com/notaryproject/notation/cmd/notation"
	_ "github.com/opencontainers/distribution-spec/conformance"
	_ "github.com/regclient/regclient/cmd/regctl"
	_ "golang.org/x/vuln/cmd/govulncheck"
	_ "helm.sh/helm/v3/cmd/helm"
	_ "honnef.co/go/tools/cmd/staticcheck"
	_ "oras.land/oras/cmd/oras"
	_ "sigs.k8s.io/cri-tools/cmd/crictl"
)
