package intake

import (
	"context"
	"errors"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/registry"
)

// maxTries is how often a file is tried to be added while others push to the same version. Each try fails only because one of them succeeded; within this
// program they wait for each other.
const maxTries = 64

// add keeps a file that has been received, and adds it to a version.
func (s *Shelf) add(ctx context.Context, t target, up *parcel, file ocispec.Descriptor, p Put) (Kept, error) {
	// What cannot be added is not even kept.
	now, err := s.look(ctx, t)
	if err == nil {
		_, err = now.has(t, file)
	}
	if err == nil {
		err = up.keep(ctx)
	}
	if err == nil {
		err = s.putEmpty(ctx, t.repo)
	}
	if err != nil {
		return Kept{}, err
	}
	done, err := s.turns.take(ctx, t.key())
	if err != nil {
		return Kept{}, err
	}
	defer done()
	added := false
	for range maxTries {
		if now, err = s.look(ctx, t); err != nil {
			return Kept{}, err
		}
		found, err := now.has(t, file)
		if err != nil {
			return Kept{}, err
		}
		if found {
			return Kept{Repo: t.repo, Tag: now.tag, Digest: now.digest, Name: title(file), File: file.Digest, Size: file.Size,
				Version: t.number.String(), Same: !added}, nil
		}
		err = s.grow(ctx, t, now, file, p)
		if err != nil && !errors.Is(err, errMoved) {
			return Kept{}, err
		}
		added = added || err == nil
	}
	return Kept{}, refused(registry.Busy, t.repo, "tag", now.tag, "others push to this version all the time; nothing of it has changed by this, try again")
}

// types are the artifact types of the formats.
var types = map[artifacts.Kind]string{artifacts.Deb: artifacts.TypeDeb, artifacts.Generic: artifacts.TypeGeneric}

// grow lets the tag name what it named and one file more, or fails with errMoved if it names something else than what was seen.
func (s *Shelf) grow(ctx context.Context, t target, seen *shelved, file ocispec.Descriptor, p Put) error {
	m := artifact(types[t.format], file)
	if seen.digest != "" {
		m = with(seen.manifest, file)
	}
	body, err := encode(m)
	if err != nil {
		return err
	}
	_, err = s.Registry.PutManifest(ctx, registry.Put{
		Repo: t.repo, Ref: seen.tag, ContentType: ocispec.MediaTypeImageManifest, Body: body, Judge: p.Judge,
		Guard: func(_ string, was registry.Stored) error {
			if was.Digest != seen.digest {
				return errMoved
			}
			return nil // see Put.Guard
		},
	})
	return err
}
