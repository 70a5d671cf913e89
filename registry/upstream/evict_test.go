package upstream

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/entrepot/entrepot/registry"
)

// TestThrough_bounds what is kept: who was not pulled for longest goes, what is in use or has to stay does not.
func TestThrough_bounds(t *testing.T) {
	const layer = 100_000
	h := build(t, func(u *Upstream) { u.MaxBytes = 5*layer + 50_000 })
	tags := []string{"mirrored", "a", "b", "c", "d", "e", "f"}
	for _, tag := range tags {
		h.up.PushImage("team/app", tag, layer)
	}
	kept := func(tag string) bool {
		t.Helper()
		_, err := h.local.Stored(t.Context(), app, tag)
		if err != nil && registry.Code(err) != registry.ManifestUnknown {
			t.Fatal(err)
		}
		return err == nil
	}
	for _, tag := range tags {
		d, err := h.pull(tag)
		if err != nil {
			t.Fatal(err)
		}
		h.Pulled(app, d)
		h.later(time.Minute)
	}
	if bytes, counted := h.Kept("up.example.com"); !counted || bytes < 7*layer {
		t.Errorf("%d bytes are said to be kept, %v", bytes, counted)
	}
	// All of it was pulled a moment ago.
	if err := h.Bound(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		if !kept(tag) {
			t.Errorf("%s went although it may be in use", tag)
		}
	}
	// One of the oldest is pulled again, and somebody reads what will go.
	h.later(time.Hour)
	again, err := h.pull("a")
	if err != nil {
		t.Fatal(err)
	}
	h.Pulled(app, again)
	_, body, err := h.Manifest(t.Context(), app, "b")
	if err != nil {
		t.Fatal(err)
	}
	m, err := registry.ParseManifest("", "", body)
	if err != nil {
		t.Fatal(err)
	}
	_, reader, err := h.OpenBlob(t.Context(), app, m.Layers[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := h.Bound(t.Context()); err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]bool{"mirrored": true, "a": true, "b": false, "c": false, "e": true, "f": true} {
		if kept(tag) != want {
			t.Errorf("%s is kept: %v, want %v", tag, !want, want)
		}
	}
	if sizes, err := h.local.HeldBytes(t.Context(), "up.example.com/"); err != nil || sizes[0] > 5*layer+50_000 {
		t.Errorf("%v bytes are kept, %v", sizes, err)
	}
	h.later(time.Hour)
	if done, err := h.local.Reap(t.Context()); err != nil || done.Blobs < 2 {
		t.Errorf("deleted: %+v, %v", done, err)
	}
	if n, err := io.Copy(io.Discard, reader); err != nil || n != layer {
		t.Errorf("who was reading gets %d bytes, %v", n, err)
	}
	// What went comes again when it is wanted.
	h.up.Forget()
	if _, err := h.pull("b"); err != nil || h.up.Asked("blobs") == 0 {
		t.Errorf("%v, %s", err, fmt.Sprint(h.up.Requests()))
	}
}
