//go:build tools

// Package minio pins a second S3 server, to ask for a second opinion. It is run and never linked.
package minio

import _ "github.com/minio/minio"
