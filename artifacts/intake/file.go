package intake

import (
	"context"
	"io"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/registry"
)

// File adds a file to a version of a component, in the format Generic or Deb; the first one makes the version. The length is -1 if it is not known. The media
// type may be empty. A Debian package is taken as by [Shelf.Deb], whatever its media type, but under the version that is given.
func (s *Shelf) File(ctx context.Context, component, version string, format artifacts.Kind, name, mediaType string, length int64, body io.Reader, p Put) (Kept, error) {
	if format != artifacts.Generic && format != artifacts.Deb {
		return Kept{}, refused(registry.Unsupported, component, "format", string(format),
			"files are of format generic or deb; push an image with docker push, and anything else with oras push")
	}
	t, err := targetOf(component, version, format)
	if err != nil {
		return Kept{}, err
	}
	if err := checkFile(component, format, name); err != nil {
		return Kept{}, err
	}
	if format == artifacts.Deb {
		return s.Deb(ctx, component, version, name, length, body, p)
	}
	mediaType, err = layerType(component, mediaType)
	if err != nil {
		return Kept{}, err
	}
	up, err := s.receive(ctx, component, length, body)
	if err != nil {
		return Kept{}, err
	}
	defer up.drop(ctx)
	return s.add(ctx, t, up, layer(name, mediaType, up.digest, up.size), p)
}
