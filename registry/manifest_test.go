package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	typeImage = ocispec.MediaTypeImageManifest
	typeIndex = ocispec.MediaTypeImageIndex
)

var (
	hello   = digest.FromString("hello")
	aConfig = desc(ocispec.MediaTypeImageConfig, hello, 5)
	aLayer  = desc(ocispec.MediaTypeImageLayer, hello, 5)
	aChild  = desc(typeImage, hello, 5)
)

func desc(mediaType string, d digest.Digest, size int, more ...string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, mediaType, d, size, strings.Join(more, ""))
}

func image(more string) string {
	return `{"schemaVersion":2,"mediaType":"` + typeImage + `","config":` + aConfig + `,"layers":[` + aLayer + `]` + more + `}`
}

func index(more string) string {
	return `{"schemaVersion":2,"mediaType":"` + typeIndex + `","manifests":[` + aChild + `]` + more + `}`
}

func data(b string) string {
	return `,"data":"` + base64.StdEncoding.EncodeToString([]byte(b)) + `"`
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// manifests are documents that are taken, with how the client calls them.
var manifests = []struct{ what, contentType, body, mediaType string }{
	{"an image", typeImage, image(""), typeImage},
	{"an image without a word from the client", "", image(""), typeImage},
	{"an image with a parameter", typeImage + "; charset=utf-8", image(""), typeImage},
	{"an image in capital letters", strings.ToUpper(typeImage), image(""), typeImage},
	{"an index", typeIndex, index(""), typeIndex},
	{"an index without children", typeIndex, `{"schemaVersion":2,"mediaType":"` + typeIndex + `","manifests":[]}`, typeIndex},
	{"a Docker image", TypeDockerManifest, strings.Replace(image(""), typeImage, TypeDockerManifest, 1), TypeDockerManifest},
	{"a Docker list", TypeDockerList, strings.Replace(index(""), typeIndex, TypeDockerList, 1), TypeDockerList},
	{"an image without mediaType", typeImage, `{"schemaVersion":2,"config":` + aConfig + `,"layers":[]}`, typeImage},
	{"an image that nobody calls anything", "", `{"schemaVersion":2,"config":` + aConfig + `,"layers":[]}`, typeImage},
	{"an index that nobody calls anything", "", `{"schemaVersion":2,"manifests":[]}`, typeIndex},
	{"an image without layers", typeImage, `{"schemaVersion":2,"config":` + aConfig + `}`, typeImage},
	{"an image whose layers are null", typeImage, `{"schemaVersion":2,"config":` + aConfig + `,"layers":null}`, typeImage},
	{"null members count as absent", typeImage, image(`,"manifests":null,"subject":null,"annotations":null,"artifactType":null`), typeImage},
	{"unknown members", typeImage, image(`,"x":{"config":1,"a":[{}]},"y":"\"}]","z":-1.5e+3,"t":true,"n":null`), typeImage},
	{"unknown members in any letters", typeImage, image(`,"X":1,"x":2,"S":3`), typeImage},
	{"white space", typeImage, " \t\r\n" + strings.ReplaceAll(image(""), ",", " ,\n\t") + "\n ", typeImage},
	{"a subject", typeImage, image(`,"artifactType":"application/x","subject":` + aChild), typeImage},
	{"an index with a subject", typeIndex, index(`,"artifactType":"application/x","subject":` + aChild), typeIndex},
	{"data that matches", typeImage, image(`,"subject":` + desc(typeImage, hello, 5, data("hello"))), typeImage},
	{"a sha512 digest", typeImage, image(`,"subject":` + desc(typeImage, digest.SHA512.FromString("x"), 1)), typeImage},
	{"deep nesting where nobody looks", typeImage, image(`,"x":` + nested(5000)), typeImage},
	{"invalid UTF-8 in an annotation", typeImage, image(",\"annotations\":{\"a\":\"\xff\xfe\"}"), typeImage},
	{"a size of zero", typeImage, image(`,"subject":` + desc(typeImage, digest.FromString(""), 0)), typeImage},
}

func TestParseManifest_takes(t *testing.T) {
	for _, m := range manifests {
		t.Run(m.what, func(t *testing.T) {
			d := digest.FromString(m.body)
			got, err := ParseManifest(m.contentType, d, []byte(m.body))
			if err != nil {
				t.Fatal(err)
			}
			if got.Descriptor.MediaType != m.mediaType || got.Descriptor.Digest != d || got.Descriptor.Size != int64(len(m.body)) {
				t.Errorf("descriptor %+v", got.Descriptor)
			}
			if got.Index() != (got.Config == nil) {
				t.Errorf("index: %v, config: %v", got.Index(), got.Config)
			}
		})
	}
}

// refused are documents that are not taken, with a word of the reason.
var refused = []struct{ what, contentType, body, reason string }{
	{"nothing", typeImage, "", "not a JSON document"},
	{"white space", typeImage, " \n", "not a JSON document"},
	{"no JSON", typeImage, "hello", "not a JSON document"},
	{"half a document", typeImage, image("")[:40], "not a JSON document"},
	{"a list", typeImage, "[" + image("") + "]", "not a JSON object"},
	{"a word", typeImage, "null", "not a JSON object"},
	{"a string", typeImage, `"{}"`, "not a JSON object"},
	{"trailing garbage", typeImage, image("") + "x", "not a JSON document"},
	{"two documents", typeImage, image("") + image(""), "not a JSON document"},
	{"a trailing comma", typeImage, image(","), "not a JSON document"},
	{"a byte order mark", typeImage, "\ufeff" + image(""), "not a JSON document"},
	{"very deep nesting", typeImage, image(`,"x":` + nested(20_000)), "not a JSON document"},
	{"an empty object", typeImage, "{}", "schemaVersion"},
	{"config twice", typeImage, image(`,"config":` + aConfig), "twice"},
	{"layers twice, once in escapes", typeImage, image(`,"l\u0061yers":[]`), "twice"},
	{"an unknown key twice", typeImage, image(`,"x":1,"x":1`), "twice"},
	{"two keys of invalid UTF-8 that look the same", typeImage, image(",\"\xff\":1,\"\xfe\":1"), "twice"},
	{"Config instead of config", typeImage, `{"schemaVersion":2,"Config":` + aConfig + `,"layers":[]}`, "must be written"},
	{"Manifests besides layers", typeImage, image(`,"Manifests":[]`), "must be written"},
	{"SchemaVersion instead of schemaVersion", typeImage, strings.Replace(image(""), "schemaVersion", "SchemaVersion", 1), "schemaVersion"},
	{"layers and manifests", typeImage, image(`,"manifests":[]`), "at once"},
	{"layers and manifests, as an index", typeIndex, index(`,"layers":[]`), "at once"},
	{"config and manifests", typeIndex, index(`,"config":` + aConfig), "at once"},
	{"an index called an image", typeImage, index(""), "must be the same"},
	{"an image called an index", typeIndex, image(""), "must be the same"},
	{"an index called an image, silently", typeImage, `{"schemaVersion":2,"manifests":[]}`, "config is missing"},
	{"an image called an index, silently", typeIndex, `{"schemaVersion":2,"config":` + aConfig + `}`, "manifests is missing"},
	{"a Docker image called an OCI one", typeImage, strings.Replace(image(""), typeImage, TypeDockerManifest, 1), "must be the same"},
	{"a Content-Type of nothing", "; charset=utf-8", image(""), "Content-Type"},
	{"a foreign media type", "text/plain", `{"schemaVersion":2,"config":` + aConfig + `}`, "not kept here"},
	{"Docker schema 1", "application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1}`, "not kept here"},
	{"nothing that tells what it is", "", `{"schemaVersion":2}`, "not kept here"},
	{"schemaVersion 1", typeImage, strings.Replace(image(""), ":2", ":1", 1), "schemaVersion must be 2"},
	{"schemaVersion as a string", typeImage, strings.Replace(image(""), ":2", `:"2"`, 1), "schemaVersion"},
	{"schemaVersion null", typeImage, strings.Replace(image(""), ":2", `:null`, 1), "schemaVersion must be 2"},
	{"mediaType as a number", typeImage, strings.Replace(image(""), `"`+typeImage+`"`, "5", 1), "mediaType"},
	{"config null", typeImage, `{"schemaVersion":2,"config":null}`, "config is missing"},
	{"config empty", typeImage, `{"schemaVersion":2,"config":{}}`, "config: digest"},
	{"config a list", typeImage, `{"schemaVersion":2,"config":[` + aConfig + `]}`, "config: not a JSON object"},
	{"layers an object", typeImage, `{"schemaVersion":2,"config":` + aConfig + `,"layers":{}}`, "layers: a JSON object"},
	{"a null layer", typeImage, `{"schemaVersion":2,"config":` + aConfig + `,"layers":[null]}`, "layers[0]"},
	{"manifests null", typeIndex, `{"schemaVersion":2,"manifests":null}`, "manifests is missing"},
	{"size as a string", typeImage, image(`,"subject":{"mediaType":"a/b","digest":"` + string(hello) + `","size":"5"}`), "subject"},
	{"size as a fraction", typeImage, image(`,"subject":{"mediaType":"a/b","digest":"` + string(hello) + `","size":5.5}`), "subject"},
	{"size beyond int64", typeImage, image(`,"subject":{"mediaType":"a/b","digest":"` + string(hello) + `","size":9223372036854775808}`), "subject"},
	{"a negative size", typeImage, image(`,"subject":` + desc("a/b", hello, -1)), "negative"},
	{"a negative layer size", typeImage, `{"schemaVersion":2,"config":` + aConfig + `,"layers":[` + desc("a/b", hello, -5) + `]}`, "layers[0]: size -5"},
	{"a digest that is none", typeImage, image(`,"subject":` + desc("a/b", "latest", 1)), "digest"},
	{"a digest of another kind", typeImage, image(`,"subject":` + desc("a/b", "sha384:00", 1)), "digest"},
	{"a digest with a path in it", typeImage, image(`,"subject":` + desc("a/b", "sha256:../../etc/passwd", 1)), "digest"},
	{"data of another digest", typeImage, image(`,"subject":` + desc(typeImage, hello, 5, data("jello"))), "data"},
	{"data of another size", typeImage, image(`,"subject":` + desc(typeImage, hello, 6, data("hello"))), "data"},
	{"data that is no base64", typeImage, image(`,"subject":` + desc(typeImage, hello, 5, `,"data":"*"`)), "subject"},
	{"annotations that are no strings", typeImage, image(`,"annotations":{"a":1}`), "annotations"},
	{"a long artifactType", typeImage, image(`,"artifactType":"` + strings.Repeat("a", 256) + `"`), "artifactType"},
	{"a tab in the artifactType", typeImage, image(`,"artifactType":"a\tb"`), "artifactType"},
	{"a line feed in a config's type", typeImage, `{"schemaVersion":2,"config":` + desc("a\nb", hello, 5) + `}`, "config"},
}

func TestParseManifest_refuses(t *testing.T) {
	for _, m := range refused {
		t.Run(m.what, func(t *testing.T) {
			got, err := ParseManifest(m.contentType, digest.FromString(m.body), []byte(m.body))
			if err == nil {
				t.Fatalf("it is taken: %+v", got)
			}
			if wantCode(t, err, ManifestInvalid); !strings.Contains(err.Error(), m.reason) {
				t.Errorf("%v: does not say %q", err, m.reason)
			}
			if len(err.Error()) > 2000 {
				t.Errorf("the error has %d characters", len(err.Error()))
			}
		})
	}
}

// TestParseManifest_refuses_descriptors_of_two_readings: who reads keys in any case, or the last of two, would see another digest than who
// does not. Then the registry watches over one blob and a client pulls the other.
func TestParseManifest_refuses_descriptors_of_two_readings(t *testing.T) {
	other := digest.FromString("other")
	for what, config := range map[string]string{
		"digest twice":      fmt.Sprintf(`{"mediaType":"a/b","size":5,"digest":%q,"digest":%q}`, hello, other),
		"digest and digeſt": fmt.Sprintf(`{"mediaType":"a/b","size":5,"digest":%q,"digeſt":%q}`, hello, other), // which some fold to an s
		"digest and Digest": fmt.Sprintf(`{"mediaType":"a/b","size":5,"digest":%q,"Digest":%q}`, hello, other),
	} {
		m, err := ParseManifest(typeImage, hello, []byte(`{"schemaVersion":2,"config":`+config+`}`))
		if err == nil {
			t.Errorf("%s: read as %s, though another reader sees another digest", what, m.Config.Digest)
		}
	}
}

func TestParseManifest_tells_all_faults_but_not_without_end(t *testing.T) {
	body := `{"schemaVersion":1,"config":{},"layers":[` + strings.TrimSuffix(strings.Repeat("{},", 5000), ",") + `],"manifests":[]}`
	_, err := ParseManifest(typeImage, hello, []byte(body))
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	faults := e.Detail.(map[string]any)["faults"].([]string)
	if len(faults) != 21 || !strings.Contains(faults[20], "more") {
		t.Errorf("%d faults, the last: %s", len(faults), faults[len(faults)-1])
	}
	for _, want := range []string{"schemaVersion must be 2", "config: digest", "at once", "layers[3]"} {
		if !strings.Contains(strings.Join(faults, "\n"), want) {
			t.Errorf("no word of %q", want)
		}
	}
}

func TestReferrerType(t *testing.T) {
	for body, want := range map[string]string{
		image(""): ocispec.MediaTypeImageConfig, image(`,"artifactType":"application/x"`): "application/x",
		index(""): "", index(`,"artifactType":"application/x"`): "application/x",
	} {
		m, err := ParseManifest("", hello, []byte(body))
		if err != nil || m.ReferrerType() != want {
			t.Errorf("%s: %q, %v, want %q", body, m.ReferrerType(), err, want)
		}
	}
}

// FuzzParseManifest: no document causes a panic; what is taken keeps its promises, and its keys fit into the index.
func FuzzParseManifest(f *testing.F) {
	for _, m := range manifests {
		f.Add(m.contentType, []byte(m.body))
	}
	for _, m := range refused {
		f.Add(m.contentType, []byte(m.body))
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		d := digest.FromBytes(body)
		m, err := ParseManifest(contentType, d, body)
		if err != nil {
			if Code(err) != ManifestInvalid {
				t.Errorf("error %v", err)
			}
			return
		}
		if m.Descriptor.Digest != d || m.Descriptor.Size != int64(len(body)) || !isIndex(m.Descriptor.MediaType) && !isManifest(m.Descriptor.MediaType) {
			t.Errorf("descriptor %+v", m.Descriptor)
		}
		if m.Index() && (m.Config != nil || m.Layers != nil) || !m.Index() && (m.Config == nil || m.Manifests != nil) {
			t.Errorf("image and index at once: %+v", m)
		}
		for _, child := range m.children() {
			if !ValidDigest(string(child)) {
				t.Errorf("child %q", child)
			}
		}
		if len(m.ReferrerType()) > 255 || strings.ContainsAny(m.ReferrerType(), "\t\n") {
			t.Errorf("referrer type %q", m.ReferrerType())
		}
		// Called by the name that it was given, it is the same again: that is how it is read back.
		again, err := ParseManifest(m.Descriptor.MediaType, d, body)
		if err != nil || again.Descriptor.MediaType != m.Descriptor.MediaType || len(again.children()) != len(m.children()) {
			t.Errorf("read again: %+v, %v", again, err)
		}
	})
}
