//go:build tools

// Package backends pins what the drivers of storage are tested against: an S3 server.
package backends

import (
	_ "github.com/versity/versitygw/cmd/versitygw"
)
