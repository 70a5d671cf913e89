package main

import (
	"net/url"
	"path/filepath"
	"testing"
)

func TestAboutFile_is_what_the_path_says(t *testing.T) {
	const about = "component=cloud%2Fdmp%2Fapp&"
	for path, want := range map[string]string{
		"components/cloud/dmp/app/versions/1.0.2/docker/manifest.yaml":    about + "file=manifest.yaml&format=docker&version=1.0.2",
		"x/components/cloud/dmp/app/versions/v1.0.2/deb/manifest.yaml":    about + "file=manifest.yaml&format=deb&version=1.0.2",
		"components/cloud/dmp/app/versions/1.0.2/metadata.yaml":           about + "file=metadata.yaml&version=1.0.2",
		"components/cloud/dmp/app/versions/latest/metadata.yaml":          "file=metadata.yaml",
		"components/Cloud/dmp/app/versions/1.0.2/metadata.yaml":           "file=metadata.yaml",
		"components/cloud/dmp/ownership.yaml":                             "file=ownership.yaml",
		"components/cloud/dmp/app/versions/1.0.2/rpm/manifest.yaml":       "file=manifest.yaml",
		"components/cloud/dmp/app/versions/1.0.2/docker/../metadata.yaml": about + "file=metadata.yaml&version=1.0.2",
		"-": "",
	} {
		if got := aboutFile(filepath.FromSlash(path), nil).Encode(); got != want {
			t.Errorf("%s: %s; want %s", path, got, want)
		}
	}
}

func TestAboutFile_what_is_said_comes_before_the_path(t *testing.T) {
	const path = "components/cloud/dmp/app/versions/1.0.2/docker/manifest.yaml"
	for said, want := range map[string]string{
		"version=2.0.0":             "component=cloud%2Fdmp%2Fapp&file=manifest.yaml&format=docker&version=2.0.0",
		"component=cloud/dmp/other": "component=cloud%2Fdmp%2Fother&file=manifest.yaml",
		"component=cloud/dmp/app":   "component=cloud%2Fdmp%2Fapp&file=manifest.yaml&format=docker&version=1.0.2",
		"format=deb":                "component=cloud%2Fdmp%2Fapp&file=manifest.yaml&format=deb&version=1.0.2",
	} {
		q, err := url.ParseQuery(said)
		if err != nil {
			t.Fatal(err)
		}
		if got := aboutFile(filepath.FromSlash(path), q).Encode(); got != want {
			t.Errorf("%s: %s; want %s", said, got, want)
		}
	}
}
