package auth

import (
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"alice":       "alice",
		"cloud/dmp/x": "cloud/dmp/x",
		"content_x":   "content_x",
		"/api/v1/auth/grants/ent_qzumcm3sdf7csfg7_gydODOyrxbztGOAI6w5WXY7M8K6PTk7-xbuL-DLF1J8": "/api/v1/auth/grants/(a secret)",
		"x ent_qzumcm3sdf7csfg7_abc y":       "x (a secret) y",
		"eyJhbGciOiJFZERTQSJ9.eyJzdWIi.c2ln": "(a secret)",
		"beyJond.the.sea":                    "b(a secret)", // rather one too many
	} {
		if got := Redact(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	if exact := strings.Repeat("a", clipped); Clip(exact) != exact || Clip(exact+"b") != exact+"…" {
		t.Errorf("%d bytes are clipped to %q, one more to %q", clipped, Clip(exact), Clip(exact+"b"))
	}
	for words, want := range map[string]string{"": "", "héé": "héé", "hééé": "héé…", "hhéé": "hhé…", "a\xffb": "a\xffb"} {
		if got := ClipTo(words, 5); got != want {
			t.Errorf("%q is clipped to %q, want %q", words, got, want)
		}
	}
}
