package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// How old an image is. Its configuration says when it was made, and so may an annotation (org.opencontainers.image.created): the later counts. Builds that are
// reproducible say nothing of it (nothing at all, or a time long before there were containers); they are as old as this registry's first sight of them. So is what
// a tag has moved to, if that is later: whoever takes a tag over can write any time into his image, but cannot have shown it before. What has no layers that could
// be run is no image (signatures, charts, lists of contents) and of any age; an index is as old as the first image in it.

// heldBack says that an image is too young to be let through.
type heldBack struct {
	until time.Time
	age   time.Duration // that is wanted
}

func (h *heldBack) Error() string { return "held back until " + h.until.UTC().Format(time.RFC3339) }

func (h *heldBack) refusal(w wanted) error {
	return &registry.Error{Code: registry.Denied, Err: h, Detail: map[string]string{"name": w.here, "reference": w.ref(),
		"hint": "images of " + w.u.Remote.Name() + " are let through when they are " + h.age.String() + " old; this one is from " + h.until.UTC().Format(time.RFC3339) + " on"}}
}

// beginning is before any image was made: times before it are no times.
var beginning = time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC)

// ripe returns a heldBack if the manifest is that of an image that is too young.
func (t *Through) ripe(ctx context.Context, w wanted, d ocispec.Descriptor, body []byte) error {
	if w.u.MinAge == 0 {
		return nil
	}
	if _, err := t.local.Stored(ctx, w.here, string(d.Digest)); err == nil {
		return nil // it was let through before
	}
	m, err := registry.ParseManifest(d.MediaType, d.Digest, body)
	if err != nil {
		return err
	}
	if child := firstImage(m); child != "" {
		err := t.have(ctx, w.u, w.there, w.here, string(child))
		var held *heldBack
		if errors.As(err, &held) {
			return held
		}
		return err
	}
	if !runs(m) {
		return nil
	}
	made, err := t.made(ctx, w, m)
	if err != nil {
		return err
	}
	if made.Before(beginning) || w.kept != nil && w.tag != "" {
		seen, err := t.firstSeen(ctx, w.here, d.Digest)
		if err != nil {
			return err
		}
		if seen.After(made) {
			made = seen
		}
	}
	if until := made.Add(w.u.MinAge); until.After(t.now()) {
		return &heldBack{until: until, age: w.u.MinAge}
	}
	return nil
}

// firstImage returns the first image of an index; empty: it is no index, or one without images.
func firstImage(m *registry.Manifest) digest.Digest {
	for _, child := range m.Manifests {
		if child.Platform == nil || child.Platform.OS != "unknown" { // attestations are listed under that
			return child.Digest
		}
	}
	return ""
}

// runs tells whether a manifest has layers that a container can be made of.
func runs(m *registry.Manifest) bool {
	for _, l := range m.Layers {
		if strings.HasPrefix(l.MediaType, "application/vnd.oci.image.layer.") || strings.HasPrefix(l.MediaType, "application/vnd.docker.image.rootfs.") {
			return true
		}
	}
	return false
}

// maxConfig is how much of an image's configuration is read: the time stands before its history.
const maxConfig = 4 << 20

// made returns when an image says that it was made.
func (t *Through) made(ctx context.Context, w wanted, m *registry.Manifest) (time.Time, error) {
	noted, _ := time.Parse(time.RFC3339, m.Annotations[ocispec.AnnotationCreated])
	if m.Config == nil {
		return noted, nil
	}
	_, content, err := t.OpenBlob(ctx, w.here, m.Config.Digest)
	if err != nil {
		return noted, err
	}
	defer content.Close()
	text, err := io.ReadAll(io.LimitReader(content, maxConfig))
	if err != nil {
		return noted, err
	}
	var config struct {
		Created time.Time `json:"created"`
	}
	_ = json.Unmarshal(text, &config) // what cannot be read says no time
	if config.Created.After(noted) {
		return config.Created, nil
	}
	return noted, nil
}

// firstSeen returns when a manifest that was not let through was first seen, which may be now.
func (t *Through) firstSeen(ctx context.Context, here string, d digest.Digest) (seen time.Time, err error) {
	err = t.index.Update(ctx, func(tx kv.Tx) error {
		b, err := tx.Get(ctx, keySeen(here, d))
		if err == nil {
			seen, _ = parseRow(b)
			return nil
		}
		if errors.Is(err, kv.ErrNotFound) {
			seen, err = t.now(), nil
			tx.Put(keySeen(here, d), row(seen, ""))
		}
		return err
	})
	return seen, err
}
