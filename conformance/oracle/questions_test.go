package oracle

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// question is one request. A path that begins with {upload} goes to the upload that the registry opened last.
type question struct {
	name, method, path string
	body               []byte
	headers            map[string]string
	opaque             bool // the body of the answer is not compared
}

const (
	repo     = "oracle/one"
	other    = "oracle/two"
	image    = "application/vnd.oci.image.manifest.v1+json"
	index    = "application/vnd.oci.image.index.v1+json"
	docker   = "application/vnd.docker.distribution.manifest.v2+json"
	list     = "application/vnd.docker.distribution.manifest.list.v2+json"
	octets   = "application/octet-stream"
	nowhere  = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	noUpload = "/v2/" + repo + "/blobs/uploads/7d1f0f6e-0000-4000-8000-000000000000"
)

func descriptor(mediaType string, content []byte) map[string]any {
	return map[string]any{"mediaType": mediaType, "digest": digest.FromBytes(content).String(), "size": len(content)}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings can always be encoded
	}
	return b
}

// questions returns everything that is asked, in order: later ones rely on what earlier ones pushed.
func questions() []question {
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	layer := []byte(strings.Repeat("layer", 200)) // 1,000 bytes
	chunks := []byte(strings.Repeat("chunk", 200))
	manifest := encode(map[string]any{"schemaVersion": 2, "mediaType": image, "config": descriptor("application/vnd.oci.image.config.v1+json", config),
		"layers": []any{descriptor("application/vnd.oci.image.layer.v1.tar", layer)}})
	dockerManifest := encode(map[string]any{"schemaVersion": 2, "mediaType": docker, "config": descriptor("application/vnd.docker.container.image.v1+json", config),
		"layers": []any{descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)}})
	unknownBlob := encode(map[string]any{"schemaVersion": 2, "mediaType": image, "config": map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": nowhere, "size": 2},
		"layers": []any{}})
	ociIndex := encode(map[string]any{"schemaVersion": 2, "mediaType": index, "manifests": []any{descriptor(image, manifest)}})
	dockerList := encode(map[string]any{"schemaVersion": 2, "mediaType": list, "manifests": []any{map[string]any{"mediaType": docker,
		"digest": digest.FromBytes(dockerManifest).String(), "size": len(dockerManifest), "platform": map[string]string{"architecture": "amd64", "os": "linux"}}}})
	both := encode(map[string]any{"schemaVersion": 2, "mediaType": image, "config": descriptor("application/vnd.oci.image.config.v1+json", config), "layers": []any{}, "manifests": []any{}})

	configD, layerD, chunksD := digest.FromBytes(config).String(), digest.FromBytes(layer).String(), digest.FromBytes(chunks).String()
	manifestD, dockerD, indexD := digest.FromBytes(manifest).String(), digest.FromBytes(dockerManifest).String(), digest.FromBytes(ociIndex).String()
	uploads, blobs, manifests := "/v2/"+repo+"/blobs/uploads/", "/v2/"+repo+"/blobs/", "/v2/"+repo+"/manifests/"

	var all []question
	get := func(name, path string, headers ...string) { all = append(all, ask(name, "GET", path, nil, headers...)) }
	do := func(name, method, path string, body []byte, headers ...string) {
		all = append(all, ask(name, method, path, body, headers...))
	}

	// Is it a registry?
	get("ping", "/v2/")
	do("ping by HEAD", "HEAD", "/v2/", nil)
	do("ping by POST", "POST", "/v2/", []byte{})

	// Nothing is there yet.
	get("tags of an unknown repository", "/v2/"+repo+"/tags/list")
	get("manifest of an unknown repository", manifests+"latest")
	get("manifest by digest of an unknown repository", manifests+nowhere)
	get("blob of an unknown repository", blobs+nowhere)
	do("HEAD of a blob of an unknown repository", "HEAD", blobs+nowhere, nil)
	do("HEAD of a manifest of an unknown repository", "HEAD", manifests+"latest", nil)
	do("DELETE of a manifest of an unknown repository", "DELETE", manifests+nowhere, nil)
	do("DELETE of a blob of an unknown repository", "DELETE", blobs+nowhere, nil)

	// Blobs, whole.
	do("begin an upload", "POST", uploads, []byte{})
	do("close it with the config", "PUT", "{upload}?digest="+configD, config, "Content-Type", octets)
	do("begin a second upload", "POST", uploads, []byte{})
	do("close it with the layer", "PUT", "{upload}?digest="+layerD, layer, "Content-Type", octets)
	get("blob", blobs+layerD)
	do("HEAD of a blob", "HEAD", blobs+layerD, nil)
	get("blob that is not there", blobs+nowhere)
	do("HEAD of a blob that is not there", "HEAD", blobs+nowhere, nil)
	get("blob of another repository", "/v2/"+other+"/blobs/"+layerD)
	get("blob by a digest that is none", blobs+"sha256:short")
	get("blob by a digest of an unknown algorithm", blobs+"md5:d41d8cd98f00b204e9800998ecf8427e")
	get("blob, first hundred bytes", blobs+layerD, "Range", "bytes=0-99")
	get("blob, from the middle on", blobs+layerD, "Range", "bytes=500-")
	get("blob, last bytes", blobs+layerD, "Range", "bytes=-10")
	get("blob, beyond its end", blobs+layerD, "Range", "bytes=5000-6000")
	get("blob, backwards", blobs+layerD, "Range", "bytes=500-0")
	get("blob that the client has", blobs+layerD, "If-None-Match", `"`+layerD+`"`)
	get("blob that the client has not", blobs+layerD, "If-None-Match", `"`+configD+`"`)
	do("PUT to a blob", "PUT", blobs+layerD, layer)
	do("POST to a blob", "POST", blobs+layerD, layer)

	// Blobs, in chunks.
	do("begin a chunked upload", "POST", uploads, []byte{}, "Content-Length", "0")
	get("status of a fresh upload", "{upload}")
	do("first chunk", "PATCH", "{upload}", chunks[:400], "Content-Type", octets, "Content-Range", "0-399")
	get("status after a chunk", "{upload}")
	do("chunk out of order", "PATCH", "{upload}", chunks[800:], "Content-Type", octets, "Content-Range", "800-999")
	get("status after a chunk out of order", "{upload}")
	do("chunk again", "PATCH", "{upload}", chunks[:400], "Content-Type", octets, "Content-Range", "0-399")
	get("status after a chunk again", "{upload}")
	do("second chunk", "PATCH", "{upload}", chunks[400:800], "Content-Type", octets, "Content-Range", "400-799")
	do("last chunk with the PUT", "PUT", "{upload}?digest="+chunksD, chunks[800:], "Content-Type", octets, "Content-Range", "800-999")
	get("blob that came in chunks", blobs+chunksD)
	get("status of an upload that is over", "{upload}")
	do("begin an upload to stream", "POST", uploads, []byte{})
	do("stream", "PATCH", "{upload}", chunks, "Content-Type", octets)
	do("close without a digest", "PUT", "{upload}", nil)
	do("close with a digest that is none", "PUT", "{upload}?digest=nonsense", nil)
	do("close the stream", "PUT", "{upload}?digest="+chunksD, nil)
	do("begin an upload that will not match", "POST", uploads, []byte{})
	do("close with another digest", "PUT", "{upload}?digest="+nowhere, chunks, "Content-Type", octets)
	do("begin an upload to cancel", "POST", uploads, []byte{})
	do("cancel", "DELETE", "{upload}", nil)
	do("cancel again", "DELETE", "{upload}", nil)
	get("status of an upload that never was", noUpload)
	do("chunk of an upload that never was", "PATCH", noUpload, chunks, "Content-Type", octets)
	do("close of an upload that never was", "PUT", noUpload+"?digest="+chunksD, chunks, "Content-Type", octets)
	do("single POST", "POST", uploads+"?digest="+chunksD, chunks, "Content-Type", octets)
	do("GET where uploads begin", "GET", uploads, nil)

	// Mounts.
	do("mount", "POST", "/v2/"+other+"/blobs/uploads/?mount="+layerD+"&from="+repo, []byte{})
	get("mounted blob", "/v2/"+other+"/blobs/"+layerD)
	do("mount of what is not there", "POST", "/v2/"+other+"/blobs/uploads/?mount="+nowhere+"&from="+repo, []byte{})
	do("mount of a digest that is none", "POST", "/v2/"+other+"/blobs/uploads/?mount=nonsense&from="+repo, []byte{})
	do("mount from a name that is none", "POST", "/v2/"+other+"/blobs/uploads/?mount="+configD+"&from=NO", []byte{})

	// Manifests.
	do("push by tag", "PUT", manifests+"one", manifest, "Content-Type", image)
	do("push by digest", "PUT", manifests+manifestD, manifest, "Content-Type", image)
	do("push of what is there", "PUT", manifests+"one", manifest, "Content-Type", image)
	get("manifest by tag", manifests+"one", "Accept", image)
	get("manifest by digest", manifests+manifestD, "Accept", image)
	do("HEAD of a manifest by tag", "HEAD", manifests+"one", nil, "Accept", image)
	do("HEAD of a manifest by digest", "HEAD", manifests+manifestD, nil, "Accept", image)
	get("manifest without Accept", manifests+"one")
	get("manifest that the client has", manifests+"one", "Accept", image, "If-None-Match", `"`+manifestD+`"`)
	get("tag that is not there", manifests+"none")
	do("HEAD of a tag that is not there", "HEAD", manifests+"none", nil)
	get("manifest that is not there", manifests+nowhere)
	get("tag that is no tag", manifests+"-dash")
	get("digest that is none", manifests+"sha256:short")
	do("push of nonsense", "PUT", manifests+"bad", []byte("nonsense"), "Content-Type", image)
	do("push of nothing", "PUT", manifests+"bad", []byte{}, "Content-Type", image)
	do("push by another digest", "PUT", manifests+nowhere, manifest, "Content-Type", image)
	do("push to a tag that is no tag", "PUT", manifests+"-dash", manifest, "Content-Type", image)
	do("push with another type", "PUT", manifests+"bad", manifest, "Content-Type", docker)
	do("push of an image that is an index too", "PUT", manifests+"bad", both, "Content-Type", image)
	do("push with an unknown blob", "PUT", manifests+"bad", unknownBlob, "Content-Type", image)
	do("push of more than the limit", "PUT", manifests+"bad", []byte(`{"padding":"`+strings.Repeat("a", 4<<20)+`"}`), "Content-Type", image)
	do("push of an index", "PUT", manifests+"index", ociIndex, "Content-Type", index)
	get("index", manifests+"index", "Accept", index)
	do("push of a docker manifest", "PUT", manifests+"docker", dockerManifest, "Content-Type", docker)
	get("docker manifest", manifests+"docker", "Accept", docker)
	do("push of a docker list", "PUT", manifests+"list", dockerList, "Content-Type", list)
	get("docker list", manifests+"list", "Accept", list)
	do("POST to a manifest", "POST", manifests+"one", manifest)
	do("PATCH of a manifest", "PATCH", manifests+"one", manifest)

	// Lists.
	get("tags", "/v2/"+repo+"/tags/list")
	get("tags, two", "/v2/"+repo+"/tags/list?n=2")
	get("tags, two after the first", "/v2/"+repo+"/tags/list?n=2&last=docker")
	get("tags after the last", "/v2/"+repo+"/tags/list?last=zzz")
	get("tags, none", "/v2/"+repo+"/tags/list?n=0")
	get("tags, fewer than none", "/v2/"+repo+"/tags/list?n=-1")
	get("tags, no number", "/v2/"+repo+"/tags/list?n=abc")
	get("tags, many", "/v2/"+repo+"/tags/list?n=1000")
	do("HEAD of tags", "HEAD", "/v2/"+repo+"/tags/list", nil)
	do("PUT to tags", "PUT", "/v2/"+repo+"/tags/list", []byte("x"))
	get("catalog, one", "/v2/_catalog?n=1")
	get("catalog, no number", "/v2/_catalog?n=abc")
	do("POST to the catalog", "POST", "/v2/_catalog", []byte("x"))

	// Names.
	get("name in capitals", "/v2/Oracle/manifests/latest")
	get("name that begins with a dash", "/v2/-oracle/manifests/latest")
	get("tags of a name in capitals", "/v2/Oracle/tags/list")
	do("upload to a name in capitals", "POST", "/v2/Oracle/blobs/uploads/", []byte{})
	get("no such route", "/v2/oracle/nothing")
	get("no such root", "/v3/")

	// Deletes.
	do("DELETE of a tag", "DELETE", manifests+"docker", nil)
	get("tag that was deleted", manifests+"docker")
	get("manifest whose tag was deleted", manifests+dockerD, "Accept", docker)
	do("DELETE of a tag that is not there", "DELETE", manifests+"docker", nil)
	do("DELETE of a manifest", "DELETE", manifests+indexD, nil)
	get("manifest that was deleted", manifests+indexD)
	get("tag of a manifest that was deleted", manifests+"index")
	do("DELETE of a manifest that is not there", "DELETE", manifests+indexD, nil)
	do("DELETE of a manifest by a digest that is none", "DELETE", manifests+"sha256:short", nil)
	do("DELETE of a blob", "DELETE", "/v2/"+other+"/blobs/"+layerD, nil)
	get("blob that was deleted", "/v2/"+other+"/blobs/"+layerD)
	do("DELETE of a blob that is not there", "DELETE", "/v2/"+other+"/blobs/"+layerD, nil)
	get("blob that another repository deleted", blobs+layerD)
	get("tags in the end", "/v2/"+repo+"/tags/list")
	return all
}

func ask(name, method, path string, body []byte, headers ...string) question {
	q := question{name: name, method: method, path: path, body: body, headers: map[string]string{}}
	for i := 0; i+1 < len(headers); i += 2 {
		q.headers[headers[i]] = headers[i+1]
	}
	if strings.HasPrefix(name, "catalog") {
		q.opaque = true // which repositories exist so far is another matter than how they are told
	}
	if name == "" {
		panic(fmt.Sprint("a question without a name: ", path))
	}
	return q
}
