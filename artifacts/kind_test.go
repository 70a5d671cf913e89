package artifacts

import "testing"

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		want     Kind
		manifest string
	}{
		{Docker, `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json"},"layers":[]}`},
		{Docker, `{"config":{"mediaType":"application/vnd.docker.container.image.v1+json"},"layers":[]}`},
		{Docker, `{"manifests":[]}`},
		{Release, `{"artifactType":"application/vnd.entrepot.release.v1","manifests":[]}`},
		{Deb, `{"artifactType":"application/vnd.entrepot.deb.v1","config":{"mediaType":"application/vnd.oci.empty.v1+json"}}`},
		{Deb, `{"config":{"mediaType":"application/vnd.oci.empty.v1+json"},"layers":[{"mediaType":"application/vnd.debian.binary-package"}]}`},
		{Deb, `{"config":{"mediaType":"application/vnd.oci.empty.v1+json"},"layers":[{"annotations":{"org.opencontainers.image.title":"x_1.0_amd64.deb"}}]}`},
		{Generic, `{"config":{"mediaType":"application/vnd.oci.empty.v1+json"},"layers":[{"annotations":{"org.opencontainers.image.title":"fw.bin"}}]}`},
		{Document, `{"config":{"mediaType":"application/vnd.oci.empty.v1+json"},"layers":[{"annotations":{"org.opencontainers.image.title":"metadata.yaml"}}]}`},
		{Chart, `{"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json"}}`},
		{Signature, `{"artifactType":"application/vnd.cncf.notary.signature","config":{}}`},
		{Other, `{"artifactType":"application/vnd.example.thing","config":{"mediaType":"application/vnd.oci.empty.v1+json"}}`},
		{Other, `not json`},
		{Other, `{}`},
	} {
		if got := Classify([]byte(c.manifest)); got != c.want {
			t.Errorf("Classify(%s) = %s, want %s", c.manifest, got, c.want)
		}
	}
}
