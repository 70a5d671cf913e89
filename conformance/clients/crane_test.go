//go:build clients

package clients

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestCrane(t *testing.T) {
	r := registry(t)
	s := newSession(t)
	i := newImage(t)
	i.layout(t, filepath.Join(s.dir, "layout"), "1")

	s.run("crane", "push", "--insecure", "layout", r+"/crane/app:1")
	equal(t, s.run("crane", "digest", "--insecure", r+"/crane/app:1"), i.digest.String())
	s.run("crane", "validate", "--insecure", "--remote", r+"/crane/app:1")

	// A copy in the same registry mounts the blobs.
	s.run("crane", "copy", "--insecure", r+"/crane/app:1", r+"/crane/copied:1")
	equal(t, s.run("crane", "digest", "--insecure", r+"/crane/copied:1"), i.digest.String())
	s.run("crane", "validate", "--insecure", "--remote", r+"/crane/copied:1")

	s.write("extra.tar", string(layer(t, "extra", 0o644, []byte("one file more\n"))))
	s.run("crane", "append", "--insecure", "--base", r+"/crane/app:1", "--new_layer", "extra.tar", "--new_tag", r+"/crane/app:2")
	s.run("crane", "validate", "--insecure", "--remote", r+"/crane/app:2")
	equal(t, s.run("crane", "ls", "--insecure", r+"/crane/app"), "1\n2")
	contains(t, s.run("crane", "catalog", "--insecure", r), "crane/app", "crane/copied")

	// Down to a tar and up again, and the files of the image as one tar.
	s.run("crane", "pull", "--insecure", r+"/crane/app:2", "app.tar")
	s.run("crane", "push", "--insecure", "app.tar", r+"/crane/again:2")
	s.run("crane", "validate", "--insecure", "--remote", r+"/crane/again:2")
	s.run("crane", "export", "--insecure", r+"/crane/again:2", "files.tar")
	contains(t, strings.Join(names(t, filepath.Join(s.dir, "files.tar")), "\n"), "hello", "big", "extra")

	s.run("crane", "mutate", "--insecure", "--label", "team=dmp", "--tag", r+"/crane/app:3", r+"/crane/app:2")
	contains(t, s.run("crane", "config", "--insecure", r+"/crane/app:3"), `"team":"dmp"`)
	s.run("crane", "tag", "--insecure", r+"/crane/app:3", "newest")
	s.run("crane", "index", "append", "--insecure", "--manifest", r+"/crane/app:1", "--manifest", r+"/crane/app:2", "--tag", r+"/crane/app:list")
	s.run("crane", "validate", "--insecure", "--remote", r+"/crane/app:list")

	blob := i.blobs[1]
	equal(t, digest.FromString(s.run("crane", "blob", "--insecure", r+"/crane/app@"+digest.FromBytes(blob).String())).String(), digest.FromBytes(blob).String())

	s.run("crane", "delete", "--insecure", r+"/crane/copied@"+i.digest.String())
	contains(t, s.fails("crane", "manifest", "--insecure", r+"/crane/copied:1"), "MANIFEST_UNKNOWN")
	s.run("crane", "validate", "--insecure", "--remote", r+"/crane/app:1")
}
