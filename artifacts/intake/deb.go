package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/deb"
	"github.com/entrepot/entrepot/artifacts/version"
)

// Deb adds a Debian package to a version of a component; the first one makes the version. Without a version it is the upstream part of the package's own, if
// that has the three numbers of a component's version.
//
// A package is called package_version_architecture.deb, by what it says of itself: so there is one file for each of these triples, whatever the files were
// called by those who sent them. A name that is given must be one that a package may have, and is otherwise of no matter.
func (s *Shelf) Deb(ctx context.Context, component, version, name string, length int64, body io.Reader, p Put) (Kept, error) {
	err := checkComponent(component)
	if err == nil && version != "" {
		_, err = targetOf(component, version, artifacts.Deb)
	}
	if err == nil && name != "" {
		err = checkFile(component, artifacts.Deb, name)
	}
	if err != nil {
		return Kept{}, err
	}
	up, pkg, err := s.receiveDeb(ctx, component, name, length, body)
	if err != nil {
		return Kept{}, err
	}
	defer up.drop(ctx)
	own := pkg.Control.Filename()
	if err := checkFile(component, artifacts.Deb, own); err != nil {
		return Kept{}, err
	}
	if version == "" {
		if version, err = versionOf(component, own, pkg.Control.Version()); err != nil {
			return Kept{}, err
		}
	}
	t, err := targetOf(component, version, artifacts.Deb)
	if err != nil {
		return Kept{}, err
	}
	return s.add(ctx, t, up, layer(own, artifacts.TypeDebPackage, up.digest, up.size), p)
}

// receiveDeb reads a package while it is received. What turns out to be none is received no further.
func (s *Shelf) receiveDeb(ctx context.Context, repo, name string, length int64, body io.Reader) (*parcel, *deb.Package, error) {
	var up *parcel
	var received error
	var store sync.WaitGroup
	r, w := io.Pipe()
	defer store.Wait()
	defer w.CloseWithError(errors.New("the package was not read to its end")) // which counts only if reading it came to no end at all
	store.Go(func() {
		up, received = s.receive(ctx, repo, length, r)
		r.CloseWithError(cmp.Or(received, io.ErrClosedPipe))
	})
	pkg, err := deb.Read(io.TeeReader(body, w), deb.Limits{})
	w.CloseWithError(err) // nil is the end of the file
	store.Wait()
	if isFault(err) {
		return nil, nil, invalid(repo, "file", cmp.Or(name, "the file"), fmt.Sprintf("%s is no Debian package that can be served: %v", cmp.Or(name, "the file"), err))
	}
	if err = cmp.Or(received, err); err != nil {
		return nil, nil, err
	}
	return up, pkg, nil
}

// isFault tells what is wrong with a package from what went wrong with reading it.
func isFault(err error) bool {
	var fault *deb.Error
	return errors.As(err, &fault)
}

// versionOf returns which version of a component a package is. A revision that begins with a letter is more likely a pre-release (1.0.0-rc1), which Debian
// writes with a tilde, than what Debian takes it for: that is asked about, since 1.0.0 would otherwise be taken for ever.
func versionOf(component, file string, v deb.Version) (string, error) {
	number, err := version.Parse(v.Upstream)
	if err == nil && number.Precision() == 3 && strings.Trim(v.Revision[:min(1, len(v.Revision))], "0123456789") == "" {
		return number.String(), nil
	}
	return "", invalid(component, "file", file, fmt.Sprintf(
		"the package's version %s does not tell which version of %s it is: that has three numbers, as 1.2.0; say which it is with ?version=1.2.0", v, component))
}
