package main

import (
	"strings"
	"testing"
)

func TestParseComponent_reads_what_people_write(t *testing.T) {
	for text, want := range map[string]componentRef{
		"cloud/dmp/app":                             {"srv:1", "cloud/dmp/app", ""},
		"cloud/dmp/app@1.0.2":                       {"srv:1", "cloud/dmp/app", "1.0.2"},
		"cloud/dmp/app:1.0.2":                       {"srv:1", "cloud/dmp/app", "1.0.2"},
		"cloud/dmp/app@cloud.prod":                  {"srv:1", "cloud/dmp/app", "cloud.prod"},
		"cloud/dmp/app@1.0.2+build.5":               {"srv:1", "cloud/dmp/app", "1.0.2+build.5"},
		"components/cloud/dmp/app@latest":           {"srv:1", "cloud/dmp/app", "latest"},
		"registry.example.com/cloud/dmp/app":        {"registry.example.com", "cloud/dmp/app", ""},
		"registry.example.com:5000/cloud/dmp/app:1": {"registry.example.com:5000", "cloud/dmp/app", "1"},
		"localhost/components/cloud/dmp/app@a.b":    {"localhost", "cloud/dmp/app", "a.b"},
		"cloud/dmp/app@sha256:" + hexOf("00"):       {"srv:1", "cloud/dmp/app", "sha256:" + hexOf("00")},
	} {
		got, err := parseComponent(text, "srv:1")
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestParseComponent_refuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "is no component; write DOMAIN/GROUP/SERVICE",
		"cloud/dmp":                           "is no component",
		"cloud/dmp/charts/app":                "is no component",
		"Cloud/dmp/app":                       "in small letters",
		"cloud/../app":                        "is no component",
		"cloud/dmp/app@":                      "ends where a version should follow",
		"cloud/dmp/app:":                      "write it as cloud/dmp/app@1.0.2",
		"user:secret@h.example/cloud/dmp/app": "is no host",
		"h.example?x=/cloud/dmp/app":          "is no host",
		"cloud/dmp/\x1b[31mred":               "is no component",
	} {
		got, err := parseComponent(text, "srv:1")
		switch {
		case err == nil:
			t.Errorf("%q is read as %+v, but should be refused", text, got)
		case !strings.Contains(err.Error(), want):
			t.Errorf("%q: the error is %q; it should say %q", text, err, want)
		case strings.Contains(err.Error(), "\x1b"):
			t.Errorf("%q: the error would colour the terminal: %q", text, err)
		}
	}
}

func TestParseComponentVersion_wants_a_number(t *testing.T) {
	_, number, err := parseComponentVersion("cloud/dmp/app:v1.0.2", "srv:1")
	if err != nil || number != "1.0.2" {
		t.Errorf("cloud/dmp/app:v1.0.2 is version %q, %v; want 1.0.2", number, err)
	}
	for _, text := range []string{"cloud/dmp/app", "cloud/dmp/app@latest", "cloud/dmp/app@cloud.prod"} {
		if _, _, err := parseComponentVersion(text, "srv:1"); err == nil || !strings.Contains(err.Error(), "names no version") {
			t.Errorf("%s: the error is %v; it should say that no version is named", text, err)
		}
	}
}

func TestComponentAt_takes_one_argument_or_two(t *testing.T) {
	for _, args := range [][]string{{"cloud/dmp/app@cloud.prod"}, {"cloud/dmp/app:cloud.prod"}, {"cloud/dmp/app", "cloud.prod"}} {
		r, place, err := componentAt(args, "srv:1")
		if err != nil || r.name != "cloud/dmp/app" || place.Tag() != "cloud.prod" {
			t.Errorf("%q: %s at %s, %v; want cloud/dmp/app at cloud.prod", args, r.name, place, err)
		}
	}
	for _, args := range [][]string{{"cloud/dmp/app"}, {"cloud/dmp/app@1.0.2"}, {"cloud/dmp/app@1.0.2", "cloud.prod"}, {"cloud/dmp/app", "prod"}} {
		if _, place, err := componentAt(args, "srv:1"); err == nil {
			t.Errorf("%q is read as being at %s, but should be refused", args, place)
		}
	}
}
