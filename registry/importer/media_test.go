//go:build !backends

package importer

import "testing"

// layInBucket is nil where there is no S3 server to test with.
func layInBucket(*testing.T) func(t *testing.T, dir string) Medium { return nil }
