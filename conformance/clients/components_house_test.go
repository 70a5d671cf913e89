//go:build clients

package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maker is a team that publishes components with plain tools: docker where its session has an engine, oras, curl and dpkg-deb.
type maker struct {
	*session
	at      string   // the registry, as host:port
	base    string   // http://host:port
	trusted []string // what oras is told of the registry
	login   []string // what curl is told of the registry
}

// opened is a maker at a registry that is open to everybody.
func opened(s *session, at string) *maker {
	return &maker{session: s, at: at, base: "http://" + at, trusted: []string{"--plain-http"}, login: []string{"--silent", "--show-error"}}
}

// oras types an oras command that has to succeed.
func (m *maker) oras(words ...string) string {
	m.t.Helper()
	return m.run("oras", append(words, m.trusted...)...)
}

// orasFails types an oras command that has to fail, and returns what it says.
func (m *maker) orasFails(words ...string) string {
	m.t.Helper()
	return m.fails("oras", append(words, m.trusted...)...)
}

// curl asks for a path, and returns status and body.
func (m *maker) curl(path string, words ...string) (status, body string) {
	m.t.Helper()
	out := m.run("curl", append(append(words, m.login...), "--write-out", "\n%{http_code}", m.base+path)...)
	i := strings.LastIndexByte(out, '\n')
	return out[i+1:], out[:i]
}

// gets reads a path that has to be there.
func (m *maker) gets(path string) string {
	m.t.Helper()
	status, body := m.curl(path)
	if status != "200" {
		m.t.Fatalf("GET %s: %s\n%s", path, status, body)
	}
	return body
}

// post sends JSON by curl.
func (m *maker) post(path, body string) (status, answer string) {
	m.t.Helper()
	return m.curl(path, "--request", "POST", "--header", "Content-Type: application/json", "--data", body)
}

// posts is post with the status that has to come of it.
func (m *maker) posts(path, body, want string) (answer string) {
	m.t.Helper()
	status, answer := m.post(path, body)
	if status != want {
		m.t.Fatalf("POST %s %s: %s, want %s\n%s", path, body, status, want, answer)
	}
	return answer
}

// ref is a component with a tag or a digest, as clients are given it.
func (m *maker) ref(component, tag string) string {
	if strings.HasPrefix(tag, "sha256:") {
		return m.at + "/" + component + "@" + tag
	}
	return m.at + "/" + component + ":" + tag
}

// revision is the commit that everything is built from, in the labels.
const revision = "9fceb02d0ae598e95dc970b74767f19372d61af8"

// manifestYAML is a manifest.yaml as pipelines write it.
func manifestYAML(format, version, sha256 string, built time.Time) string {
	return fmt.Sprintf(`format: %s
version: %s
base_image: python:3.11-alpine
sha256: %s
built_at: %s
labels:
  org.opencontainers.image.revision: "%s"
  org.label-schema.schema-version: "1.0"
`, format, version, strings.TrimPrefix(sha256, "sha256:"), built.UTC().Format(time.RFC3339), revision)
}

// metadataYAML is a metadata.yaml as pipelines write it, for the domain cloud or for those given, with further lines.
func metadataYAML(component, domains string, more ...string) string {
	parts := strings.Split(component, "/")
	return fmt.Sprintf(`architecture: %s
domains: [%s]
environments: ["staging", "prod"]
group: %s
service_name: %s
team: ingestion-platform
multi_arch: false
notes: "Ensure Prometheus exporter is enabled"
`, runtime.GOARCH, domains, parts[1], parts[2]) + strings.Join(more, "")
}

const ownershipYAML = `owner_team: cloud-dmp
product_owner: priya.k@example.com
slack_channel: "#cloud-dmp-alerts"
source_repo: https://git.example.com/yourorg/cloud-dmp
ci_pipeline: https://git.example.com/yourorg/cloud-dmp/-/pipelines
audit_contact: audit-group@example.com
`

// The types that documents are attached by.
const (
	typeBuild     = "application/vnd.entrepot.build-manifest.v1+yaml"
	typeMetadata  = "application/vnd.entrepot.metadata.v1+yaml"
	typeOwnership = "application/vnd.entrepot.ownership.v1+yaml"
	typePolicy    = "application/vnd.entrepot.policy.v1+yaml"
)

// attaches writes a document and attaches it to a tag of a component.
func (m *maker) attaches(component, tag, artifactType, name, text string) {
	m.t.Helper()
	m.write(name, text)
	m.oras("attach", "--artifact-type", artifactType, m.ref(component, tag), name+":application/yaml")
}

// owns says who answers for a group.
func (m *maker) owns(group string) {
	m.t.Helper()
	m.write("ownership.yaml", ownershipYAML)
	m.oras("push", "--artifact-type", typeOwnership, m.ref(group, "ownership"), "ownership.yaml:application/yaml")
}

// builds makes a Debian package with dpkg-deb, for the machine's architecture, and returns its file. more are further lines of its control file.
func (m *maker) builds(name, version, more string) string {
	m.t.Helper()
	arch := strings.TrimSpace(m.types("dpkg --print-architecture"))
	m.write("package/DEBIAN/control", "Package: "+name+"\nVersion: "+version+"\nArchitecture: "+arch+"\nMaintainer: A Team <team@example.com>\n"+more+
		"Description: a service\n Built by a pipeline.\n")
	m.write("package/usr/share/"+name+"/version", version+"\n")
	file := name + "_" + version + "_" + arch + ".deb"
	m.types("dpkg-deb --root-owner-group -b package " + file)
	if err := os.RemoveAll(filepath.Join(m.dir, "package")); err != nil {
		m.t.Fatal(err)
	}
	return file
}

// types types a line that has to succeed into a shell.
func (s *session) types(line string) string {
	s.t.Helper()
	out, err := s.shell(line)
	if err != nil {
		s.t.Fatalf("$ %s\n%s%v", line, out, err)
	}
	return out
}

// sum is the digest of a file of the session's folder, as sha256sum tells it.
func (s *session) sum(name string) string {
	s.t.Helper()
	return digest.FromString(s.read(name)).Encoded()
}

// publishesDeb publishes a version that is a Debian package alone.
func (m *maker) publishesDeb(component, version, domains string, more ...string) {
	m.t.Helper()
	file := m.builds(component[strings.LastIndexByte(component, '/')+1:], version, "")
	m.oras("push", m.ref(component, "deb-"+version), file)
	m.attaches(component, "deb-"+version, typeBuild, "manifest.yaml", manifestYAML("deb", version, m.sum(file), time.Now()))
	m.attaches(component, "deb-"+version, typeMetadata, "metadata.yaml", metadataYAML(component, domains, more...))
}

// publishesFile publishes a version that is one file alone.
func (m *maker) publishesFile(component, version, domains, text string, more ...string) {
	m.t.Helper()
	m.write("notes.txt", text)
	m.oras("push", m.ref(component, "generic-"+version), "notes.txt:text/plain")
	m.attaches(component, "generic-"+version, typeBuild, "manifest.yaml", manifestYAML("generic", version, m.sum("notes.txt"), time.Now()))
	m.attaches(component, "generic-"+version, typeMetadata, "metadata.yaml", metadataYAML(component, domains, more...))
}

// in is contains for what the rest of a test does not rely on: it goes on.
func in(t *testing.T, what, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("%s: %q is missing in:\n%s", what, w, out)
		}
	}
}

// list reads a list of the API and returns its items.
func list(t *testing.T, text string) (items []string) {
	t.Helper()
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(field(t, text, "items")), &raw); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	for _, item := range raw {
		items = append(items, string(item))
	}
	return items
}

// newLabelled is a small image like newImage's, with labels and ports.
func newLabelled(t *testing.T, labels map[string]string, ports ...string) image {
	t.Helper()
	i := newImage(t)
	var config ocispec.Image
	var m ocispec.Manifest
	if err := errors.Join(json.Unmarshal(i.blobs[0], &config), json.Unmarshal(i.manifest, &m)); err != nil {
		t.Fatal(err)
	}
	config.Config.Labels, config.Config.ExposedPorts = labels, map[string]struct{}{}
	for _, p := range ports {
		config.Config.ExposedPorts[p] = struct{}{}
	}
	i.blobs[0] = encode(t, config)
	m.Config = describe(ocispec.MediaTypeImageConfig, i.blobs[0])
	i.manifest = encode(t, m)
	i.digest = digest.FromBytes(i.manifest)
	return i
}

// requests sends a request without a body.
func (m *maker) requests(method, path, want string) {
	m.t.Helper()
	status, body := m.curl(path, "--request", method)
	if status != want {
		m.t.Fatalf("%s %s: %s, want %s\n%s", method, path, status, want, body)
	}
}
