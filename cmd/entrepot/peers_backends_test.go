//go:build backends

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

// inBucket are the variables of a store (ENTREPOT_STORAGE_S3_) or of a peer in a bucket (ENTREPOT_SCRUB_PEER_S3_).
func inBucket(t *testing.T, server *s3test.Server, section, bucket string) []string {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(server.SecretKey), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{section + "BUCKET=" + bucket, section + "ENDPOINT=" + server.Endpoint, section + "PREFIX=some/where", section + "FORCEPATHSTYLE=true",
		section + "ACCESSKEY=" + server.AccessKey, section + "SECRETKEYFILE=" + key}
}

func layerKey() string {
	return "some/where/blobs/sha256/" + layerDigest.Encoded()[:2] + "/" + layerDigest.Encoded()
}

func putObject(t *testing.T, server *s3test.Server, bucket, key string, body []byte) {
	t.Helper()
	if _, err := server.Client(server.Endpoint).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
}

// objects tells what is in a bucket, and when it came.
func objects(t *testing.T, server *s3test.Server, bucket string) (all []string) {
	t.Helper()
	page, err := server.Client(server.Endpoint).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range page.Contents {
		all = append(all, fmt.Sprint(*o.Key, " ", *o.Size, " ", *o.ETag, " ", *o.LastModified))
	}
	return append(all, server.Objects(t, bucket)...)
}

// TestPeers_and_buckets: what is damaged in a bucket is put aside there, and comes from each kind of peer; a bucket heals what is on disk, and is not written.
func TestPeers_and_buckets(t *testing.T) {
	server := s3test.Start(t)
	kinds := map[string]func(t *testing.T) (vars []string, unchanged func()){
		"a folder": func(t *testing.T) ([]string, func()) {
			dir := peerFolder(t, layer)
			before := folderTree(t, dir)
			return []string{"ENTREPOT_SCRUB_PEER_DISK=" + dir}, func() {
				if after := folderTree(t, dir); !slices.Equal(before, after) {
					t.Errorf("the peer's folder was\n%v\nand is\n%v", before, after)
				}
			}
		},
		"a bucket": func(t *testing.T) ([]string, func()) {
			bucket := server.Bucket(t)
			putObject(t, server, bucket, layerKey(), layer)
			before := objects(t, server, bucket)
			return inBucket(t, server, "ENTREPOT_SCRUB_PEER_S3_", bucket), func() {
				if after := objects(t, server, bucket); !slices.Equal(before, after) {
					t.Errorf("the peer's bucket was\n%v\nand is\n%v", before, after)
				}
			}
		},
		"a registry": func(t *testing.T) ([]string, func()) {
			_, vars := peerRegistry(t)
			return vars, func() {}
		},
	}
	other := bytes.Clone(layer)
	other[5] ^= 1
	for kind, peer := range kinds {
		for how, bytesNow := range map[string][]byte{"other bytes": other, "shorter": layer[:1000], "missing": nil} {
			t.Run(kind+" heals a bucket, "+how, func(t *testing.T) {
				bucket := server.Bucket(t)
				vars, unchanged := peer(t)
				a := newAiling(t, append(vars, inBucket(t, server, "ENTREPOT_STORAGE_S3_", bucket)...)...)
				key, place := layerKey(), "some/where/quarantine/sha256-"+layerDigest.Encoded()
				if _, err := server.Client(server.Endpoint).DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
					t.Fatal(err)
				}
				if bytesNow != nil {
					putObject(t, server, bucket, key, bytesNow)
				}
				out, errs := a.verb(0, "verify", "--repair", "--peer")
				if !strings.Contains(out, "healed by peer ") || strings.Contains(out+errs, server.SecretKey) {
					t.Errorf("%s%s", out, errs)
				}
				a.wantWhole()
				unchanged()
				if bytesNow == nil {
					return
				}
				if !strings.Contains(out, "what is left of it is kept: s3://"+bucket+"/"+place) {
					t.Errorf("%s: want to be told where", out)
				}
				kept, err := server.Client(server.Endpoint).GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String(place)})
				if err != nil {
					t.Fatal(err)
				}
				defer kept.Body.Close()
				if got, err := io.ReadAll(kept.Body); err != nil || !bytes.Equal(got, bytesNow) {
					t.Errorf("%d bytes are kept, %v; want those that were left", len(got), err)
				}
			})
		}
	}
	for how := range damages {
		t.Run("a bucket heals a folder, "+how, func(t *testing.T) {
			vars, unchanged := kinds["a bucket"](t)
			a := newAiling(t, vars...)
			a.damage(how)
			if out, _ := a.verb(0, "verify", "--repair", "--peer"); !strings.Contains(out, "healed by peer bucket bucket-") {
				t.Errorf("%s", out)
			}
			a.wantWhole()
			unchanged()
		})
	}
}

// TestPeers_in_a_bucket that is away, or forbidden, or not there, heal nothing.
func TestPeers_in_a_bucket(t *testing.T) {
	server := s3test.Start(t)
	for name, change := range map[string]func(t *testing.T) []string{
		"away": func(t *testing.T) []string {
			return append(inBucket(t, server, "ENTREPOT_SCRUB_PEER_S3_", "any"), "ENTREPOT_SCRUB_PEER_S3_ENDPOINT=http://127.0.0.1:1")
		},
		"another key": func(t *testing.T) []string {
			other := &s3test.Server{Endpoint: server.Endpoint, AccessKey: "somebody", SecretKey: "anothersecret"}
			return inBucket(t, other, "ENTREPOT_SCRUB_PEER_S3_", server.Bucket(t))
		},
		"no such bucket": func(t *testing.T) []string { return inBucket(t, server, "ENTREPOT_SCRUB_PEER_S3_", "absent") },
		"other bytes": func(t *testing.T) []string {
			bucket := server.Bucket(t)
			putObject(t, server, bucket, layerKey(), bytes.Repeat([]byte("x"), len(layer)))
			return inBucket(t, server, "ENTREPOT_SCRUB_PEER_S3_", bucket)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAiling(t, change(t)...)
			a.damage("other bytes")
			out, errs := a.verb(1, "verify", "--repair", "--peer")
			if !strings.Contains(out, ": damaged: ") || !strings.Contains(errs, "a damaged blob could not be healed") || strings.Contains(out+errs, "secret") {
				t.Errorf("%s%s", out, errs)
			}
		})
	}
}
