package artifacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/kv"
)

// Component is a unit that people version, own and promote: a repository <domain>/<group>/<service>.
type Component struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Latest  string    `json:"latest,omitempty"` // the highest version that is known good and no pre-release
}

// Version is one release of a component, in up to three formats.
type Version struct {
	Component string          `json:"component"`
	Version   string          `json:"version"`          // as SemVer writes it, without v
	Commit    string          `json:"commit,omitempty"` // what it was built from
	Created   time.Time       `json:"created"`
	Formats   map[Kind]Format `json:"formats"` // docker, deb, generic, release
	Good      bool            `json:"good"`    // nothing is denied, and the required documents are there
	Team      string          `json:"team,omitempty"`
	Needs     []string        `json:"needs,omitempty"` // the services that it needs, by their names alone
}

// Format is a version as it was pushed in one format.
type Format struct {
	Tag       string        `json:"tag"`
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`    // of its content, in bytes
	Content   string        `json:"content"` // what it is, whatever the manifest says besides; see contentOf
	Pushed    time.Time     `json:"pushed"`
	By        string        `json:"by"`
	Platforms []string      `json:"platforms,omitempty"` // of an image: linux/amd64
	Files     []File        `json:"files,omitempty"`     // of packages and files

	Built  time.Time         `json:"built,omitzero"`   // when an image says that it was made
	Labels map[string]string `json:"labels,omitempty"` // of an image
	Ports  []int             `json:"ports,omitempty"`  // that an image exposes
}

// File is one file of a format.
type File struct {
	Name      string        `json:"name"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
	MediaType string        `json:"mediaType"`
	Package   *Package      `json:"package,omitempty"` // of a Debian package
}

// Package is what a Debian package says of itself.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
}

// ErrUnknown says that there is no such component or version.
var ErrUnknown = errors.New("there is no such component or version")

func read[Row any](ctx context.Context, v kv.View, key string) (row Row, err error) {
	value, err := v.Get(ctx, key)
	if errors.Is(err, kv.ErrNotFound) {
		return row, ErrUnknown
	}
	if err == nil {
		err = json.Unmarshal(value, &row)
	}
	if err != nil {
		return row, fmt.Errorf("read index row %s: %w", key, err)
	}
	return row, nil
}

func decode[Row any](pair kv.Pair) (row Row, err error) {
	if err = json.Unmarshal(pair.Value, &row); err != nil {
		err = fmt.Errorf("read index row %s: %w", pair.Key, err)
	}
	return row, err
}

func write(tx kv.Tx, key string, row any) error {
	value, err := json.Marshal(row)
	if err == nil {
		tx.Put(key, value)
	}
	return err
}
