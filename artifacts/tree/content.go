package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/auth"
)

// item is a file in the folder of a version.
type item struct {
	path      string // in that folder: deb/x.deb
	title     string // what it was called when it was pushed, if it is called by its digest here
	mediaType string
	modified  time.Time
	size      int64
	digest    digest.Digest
	text      string // of a document; everything else is a blob of the component
	document  bool
	image     *artifacts.Format // of image.tar
}

// content is the folder of a version.
type content struct {
	component string
	version   version.Version
	created   time.Time
	items     []item // by path
}

// open reads what is in the folder of a version.
func (t *Tree) open(ctx context.Context, component, number string) (content, error) {
	v, err := version.Parse(number)
	if err != nil {
		return content{}, noVersion(artifacts.ErrUnknown, component, number)
	}
	s, err := t.catalog.State(ctx, component, v.String())
	if err != nil {
		return content{}, noVersion(err, component, number)
	}
	c := content{component: component, version: v, created: s.Created}
	for _, format := range []artifacts.Kind{artifacts.Docker, artifacts.Deb, artifacts.Generic} {
		if f, ok := s.Formats[format]; ok {
			c.add(format, f)
		}
		if d, ok := s.Documents[string(format)]; ok {
			c.items = append(c.items, document(string(format)+"/manifest.yaml", d))
		}
	}
	if d, ok := s.Documents["metadata"]; ok {
		c.items = append(c.items, document("metadata.yaml", d))
	}
	owner, err := t.catalog.Owner(ctx, path.Dir(component))
	if err == nil {
		c.items = append(c.items, document(ownership, owner))
	} else if !errors.Is(err, artifacts.ErrUnknown) {
		return content{}, err
	}
	slices.SortFunc(c.items, func(a, b item) int { return cmp.Compare(a.path, b.path) })
	return c, nil
}

// add puts the files of a format into its folder.
func (c *content) add(format artifacts.Kind, f artifacts.Format) {
	folder := string(format) + "/"
	if format == artifacts.Docker {
		c.items = append(c.items, item{path: folder + imageTar, mediaType: "application/x-tar", modified: f.Pushed, image: &f})
		return
	}
	names := newPlaced("manifest.yaml")
	for _, file := range f.Files {
		at, ok := names.place(file)
		if !ok {
			continue
		}
		i := item{path: folder + at, mediaType: file.MediaType, modified: f.Pushed, size: file.Size, digest: file.Digest}
		if at != file.Name {
			i.title = auth.Clip(file.Name)
		}
		c.items = append(c.items, i)
	}
}

// document is a file that may be replaced by a newer one.
func document(path string, d artifacts.Attached) item {
	return textItem(path, "application/yaml", d.Text, d.Pushed)
}

func textItem(path, mediaType, text string, modified time.Time) item {
	return item{
		path: path, mediaType: mediaType, modified: modified, size: int64(len(text)), digest: digest.FromString(text), text: text, document: true,
	}
}

// sums is the file of checksums, in the form that sha256sum reads. Paths have no character that it would escape.
func (c *content) sums() item {
	var b strings.Builder
	var newest time.Time
	for _, i := range c.items {
		if i.image == nil && i.digest.Algorithm() == digest.SHA256 {
			fmt.Fprintf(&b, "%s  %s\n", i.digest.Encoded(), i.path)
		}
		if i.modified.After(newest) {
			newest = i.modified
		}
	}
	return textItem(sums, "text/plain; charset=utf-8", b.String(), newest)
}

// find returns the file of a path.
func (c *content) find(path string) (item, bool) {
	if path == sums {
		return c.sums(), true
	}
	n, ok := slices.BinarySearchFunc(c.items, path, func(i item, path string) int { return cmp.Compare(i.path, path) })
	if !ok {
		return item{}, false
	}
	return c.items[n], true
}

// folder tells whether there is a folder of this path, which ends with a slash.
func (c *content) folder(path string) bool {
	return path == "" || slices.ContainsFunc(c.items, func(i item) bool { return strings.HasPrefix(i.path, path) })
}

// in yields the names in a folder with what they name: a file, or (i is nil) a folder and when something in it was last changed.
func (c *content) in(folder string, yield func(name string, i *item, modified time.Time)) {
	for n := 0; n < len(c.items); {
		i := &c.items[n]
		rest, ok := strings.CutPrefix(i.path, folder)
		name, _, deeper := strings.Cut(rest, "/")
		switch {
		case !ok:
			n++
		case !deeper:
			yield(name, i, i.modified)
			n++
		default:
			var newest time.Time
			for ; n < len(c.items) && strings.HasPrefix(c.items[n].path, folder+name+"/"); n++ {
				if m := c.items[n].modified; m.After(newest) {
					newest = m
				}
			}
			yield(name, nil, newest)
		}
	}
}
