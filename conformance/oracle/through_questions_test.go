package oracle

import (
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

const (
	manifests = "/v2/" + repo + "/manifests/"
	blobs     = "/v2/" + repo + "/blobs/"
)

// every is what a client accepts that takes any manifest.
var every = strings.Join([]string{image, index, docker, list}, ", ")

func (u *upstream) put(t *testing.T, path, mediaType string, body []byte) string {
	t.Helper()
	if a := u.ask(t, ask("push to "+path, "PUT", path, body, "Content-Type", mediaType)); a.Status != http.StatusCreated {
		t.Fatalf("push to %s: %d %v, want 201", path, a.Status, a.Codes)
	}
	return digest.FromBytes(body).String()
}

func (u *upstream) blob(t *testing.T, content []byte) string {
	t.Helper()
	if a := u.ask(t, ask("begin", "POST", blobs+"uploads/", []byte{})); a.Status != http.StatusAccepted {
		t.Fatalf("begin an upload: %d %v", a.Status, a.Codes)
	}
	return u.put(t, "{upload}?digest="+digest.FromBytes(content).String(), octets, content)
}

// stock pushes what is asked for into distribution, and returns the questions about it.
func (u *upstream) stock(t *testing.T) []question {
	t.Helper()
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	layers := map[string][]byte{}
	for _, name := range []string{"one", "two", "ranged", "suffix"} {
		layers[name] = []byte(strings.Repeat(name, 300_000))
		u.blob(t, layers[name])
	}
	empty := u.blob(t, []byte{})
	u.blob(t, config)
	oci := imageOf(config, layers["one"])
	schema2 := encode(map[string]any{"schemaVersion": 2, "mediaType": docker, "config": descriptor("application/vnd.docker.container.image.v1+json", config),
		"layers": []any{descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", layers["two"])}})
	ociD, schema2D := u.put(t, manifests+"image", image, oci), u.put(t, manifests+"schema2", docker, schema2)
	ociIndex := encode(map[string]any{"schemaVersion": 2, "mediaType": index, "manifests": []any{descriptor(image, oci)}})
	schema2List := encode(map[string]any{"schemaVersion": 2, "mediaType": list, "manifests": []any{map[string]any{"mediaType": docker, "digest": schema2D,
		"size": len(schema2), "platform": map[string]string{"architecture": "amd64", "os": "linux"}}}})
	u.put(t, manifests+"index", index, ociIndex)
	listD := u.put(t, manifests+"list", list, schema2List)

	var all []question
	get := func(name, path string, headers ...string) { all = append(all, ask(name, "GET", path, nil, headers...)) }
	head := func(name, path string, headers ...string) {
		all = append(all, ask("HEAD of "+name, "HEAD", path, nil, headers...))
	}
	d := func(name string) string { return blobs + digest.FromBytes(layers[name]).String() }
	for _, at := range []struct{ name, ref string }{{"an image", "image"}, {"an index", "index"}, {"a docker image", "schema2"}, {"a docker list", "list"},
		{"an image by digest", ociD}, {"a docker list by digest", listD}, {"a docker image by digest", schema2D}} {
		head(at.name, manifests+at.ref, "Accept", every)
		get(at.name, manifests+at.ref, "Accept", every)
	}
	get("an image that the client has", manifests+"image", "Accept", every, "If-None-Match", `"`+ociD+`"`)
	get("a tag that is not there", manifests+"none", "Accept", every)
	head("a tag that is not there", manifests+"none", "Accept", every)
	get("a manifest that is not there", manifests+nowhere, "Accept", every)
	get("a manifest of a repository that is not there", "/v2/oracle/nothing/manifests/1", "Accept", every)
	get("a digest that is none", manifests+"sha256:short", "Accept", every)

	// The first that is asked of each blob: its head, the whole, a part from the middle on, the end.
	head("a layer", d("one"))
	get("a layer", d("one"))
	get("a part of a layer", d("ranged"), "Range", "bytes=500000-500099")
	get("a layer from the middle on", d("ranged"), "Range", "bytes=500000-")
	get("the end of a layer", d("suffix"), "Range", "bytes=-10")
	get("a layer beyond its end", d("suffix"), "Range", "bytes=50000000-60000000")
	get("a layer backwards", d("suffix"), "Range", "bytes=500-0")
	get("another layer", d("two"))
	get("a layer that the client has", d("two"), "If-None-Match", `"`+digest.FromBytes(layers["two"]).String()+`"`)
	get("the config", blobs+digest.FromBytes(config).String())
	get("the empty blob", blobs+empty)
	get("a blob that is not there", blobs+nowhere)
	head("a blob that is not there", blobs+nowhere)
	get("a blob of a repository that is not there", "/v2/oracle/nothing/blobs/"+nowhere)
	get("a blob of another repository", "/v2/"+other+"/blobs/"+digest.FromBytes(layers["one"]).String())

	get("the tags", "/v2/"+repo+"/tags/list")
	get("two tags", "/v2/"+repo+"/tags/list?n=2")
	get("two tags after the first", "/v2/"+repo+"/tags/list?n=2&last=image")
	get("the tags after the last", "/v2/"+repo+"/tags/list?last=zzz")
	get("the tags of a repository that is not there", "/v2/oracle/nothing/tags/list")
	return all
}

func imageOf(config, layer []byte) []byte {
	return encode(map[string]any{"schemaVersion": 2, "mediaType": image, "config": descriptor("application/vnd.oci.image.config.v1+json", config),
		"layers": []any{descriptor("application/vnd.oci.image.layer.v1.tar", layer)}})
}
