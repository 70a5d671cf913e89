//go:build backends

package main

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

// laidBucket is a bucket in which distribution's registry keeps images under a root directory, each of one layer, put in key by key.
type laidBucket struct {
	t      *testing.T
	client *s3.Client
	bucket string
}

func (b laidBucket) put(content string, parts ...string) {
	b.t.Helper()
	key := path.Join("old/docker/registry/v2", path.Join(parts...))
	if _, err := b.client.PutObject(b.t.Context(), &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: strings.NewReader(content)}); err != nil {
		b.t.Fatal(err)
	}
}

func (b laidBucket) content(content string) digest.Digest {
	b.t.Helper()
	d := digest.FromString(content)
	b.put(content, "blobs/sha256", d.Encoded()[:2], d.Encoded(), "data")
	return d
}

func (b laidBucket) image(repo, tag, text string) (layer digest.Digest) {
	b.t.Helper()
	config := b.content(`{"text":"` + text + `"}`)
	layer = b.content(strings.Repeat(text+" ", 10_000))
	for _, d := range []digest.Digest{config, layer} {
		b.put(string(d), "repositories", repo, "_layers/sha256", d.Encoded(), "link")
	}
	manifest := b.content(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
		"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},
		"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`, config, len(`{"text":""}`)+len(text), layer, 10_000*(len(text)+1)))
	b.put(string(manifest), "repositories", repo, "_manifests/revisions/sha256", manifest.Encoded(), "link")
	b.put(string(manifest), "repositories", repo, "_manifests/tags", tag, "current/link")
	return layer
}

// One bucket of a server moves into another one of the same server, into a folder, and is looked at without being moved.
func TestImport_from_s3(t *testing.T) {
	server := s3test.Start(t)
	const secret = "testsecret"
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	old := laidBucket{t, server.Client(server.Endpoint), server.Bucket(t)}
	old.image("library/alpine", "3.20", "one")
	layer := old.image("team/app", "1.0", "two")
	here, data := server.Bucket(t), t.TempDir()
	config := filepath.Join(t.TempDir(), "entrepot.yml")
	text := fmt.Sprintf("data: %s\nstorage:\n  s3:\n    bucket: %s\n    endpoint: %s\n    forcePathStyle: true\n", data, here, server.Endpoint)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	from := []string{"--from-s3", "s3://" + old.bucket + "/old", "--s3-endpoint", server.Endpoint}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--config", config, "--dry-run"}, `(?s)looked at 2 repositories.*would come: 2 tags, 2 manifests, 4 blobs`},
		{[]string{"--config", config, "--map", "library/** = hub/**"}, `came: 2 tags, 2 manifests, 4 blobs, \S+ \S+ \(2 blobs copied by S3 itself, 0 from another repository here\)`},
		{[]string{"--config", config, "--map", "library/** = hub/**"}, `came: 0 tags, 0 manifests, 0 blobs`},
		{[]string{"--data", t.TempDir(), "--repositories", "team/*"}, `(?s)looked at 1 repositories.*came: 1 tags, 1 manifests, 2 blobs, [^(]*\n`},
	} {
		code, said := importSays(t, append(c.args, from...)...)
		if code != 0 || !regexp.MustCompile(c.want).MatchString(said) || strings.Contains(said, secret) {
			t.Errorf("import %q: exit status %d and\n%s\nwant 0 and %s", c.args, code, said, c.want)
		}
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"verify", "--config", config}, nil, &out, &out, nil); code != 0 {
		t.Errorf("verify: exit status %d and\n%s\nwant that all that came is sound", code, out.String())
	}
	found := false
	for _, key := range server.Objects(t, here) {
		found = found || strings.HasSuffix(key, layer.Encoded())
	}
	if !found {
		t.Errorf("the new bucket has %q, want the layer %s in it", server.Objects(t, here), layer)
	}
}
