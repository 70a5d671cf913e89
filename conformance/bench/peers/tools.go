//go:build tools

// Package peers pins the programs the bench compares with, in a module of its own, so that none of what they need reaches the registry's
// own list of modules. The bench builds them from here with `go build -mod=readonly`.
package peers

import (
	_ "github.com/distribution/distribution/v3/cmd/registry"
	_ "github.com/google/go-containerregistry/cmd/crane"
)
