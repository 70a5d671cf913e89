package ask

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// Components is where components are asked about.
const Components = "/api/v1/components/"

// VersionPath is where a version is, or something of it.
func VersionPath(component, version string, rest ...string) string {
	return Components + strings.Join(append([]string{component, "versions", version}, rest...), "/")
}

// built is when everything was built.
var built = time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)

// BuildOf is a manifest.yaml that is right about content in a format of a version.
func BuildOf(format, version string, content []byte) []byte {
	return fmt.Appendf(nil, "format: %s\nversion: %s\nsha256: %s\nbuilt_at: %s\n", format, version, digest.FromBytes(content).Encoded(), built)
}

// MetadataOf is a metadata.yaml that is right about a component, with more lines. It may be deployed in its own domain.
func MetadataOf(component string, more ...string) []byte {
	parts := strings.Split(component, "/")
	text := fmt.Sprintf("architecture: amd64\ndomains: [%s]\nenvironments: [test, staging, prod]\ngroup: %s\nservice_name: %s\nteam: team-of-%s\n",
		parts[0], parts[1], parts[2], parts[2])
	return []byte(text + strings.Join(more, ""))
}

// OwnershipOf is an ownership.yaml of a team.
func OwnershipOf(team string) []byte {
	return fmt.Appendf(nil, "owner_team: %s\nsource_repo: https://git.example.com/%s\n", team, team)
}

// PolicyOf is a policy.yaml that differs by its note.
func PolicyOf(note string) []byte {
	return fmt.Appendf(nil, "# %s\nrules:\n  metadata.notes.type: deny\n", note)
}

// Deb is a Debian package, and what a pool calls its file.
func Deb(component, version string) (name string, content []byte) {
	called := strings.ReplaceAll(component, "/", "-")
	return called + "_" + version + "_amd64.deb", debtest.Build(debtest.Spec{Package: called, Version: version})
}

// PutYAML sends a document.
func (c Caller) PutYAML(t testing.TB, target string, text []byte) wire.Reply {
	t.Helper()
	return c.Do(t, "PUT", target, text, "Content-Type", "application/yaml")
}

// Owns says who answers for a group.
func (c Caller) Owns(t testing.TB, group string) {
	t.Helper()
	c.PutYAML(t, "/api/v1/groups/"+group+"/ownership.yaml", OwnershipOf("owners")).Want(t, 200, 201)
}

// Publish publishes a version as a Debian package with its documents, so that it is known good if its group has an owner; metadata.yaml gets more lines.
func (c Caller) Publish(t testing.TB, component, version string, more ...string) {
	t.Helper()
	name, content := Deb(component, version)
	c.Do(t, "PUT", VersionPath(component, version, "deb", name), content, "Content-Type", wire.Octets).Want(t, 201)
	c.PutYAML(t, VersionPath(component, version, "deb/manifest.yaml"), BuildOf("deb", version, content)).Want(t, 201)
	c.PutYAML(t, VersionPath(component, version, "metadata.yaml"), MetadataOf(component, more...)).Want(t, 201)
}

// PublishFile is Publish of a version that is one file, which no suite of apt has anything to do with. Of a suite there is one snapshot a second.
func (c Caller) PublishFile(t testing.TB, component, version string) {
	t.Helper()
	content := []byte(component + " " + version)
	c.Do(t, "PUT", VersionPath(component, version, "generic/fw.bin"), content, "Content-Type", wire.Octets).Want(t, 201)
	c.PutYAML(t, VersionPath(component, version, "generic/manifest.yaml"), BuildOf("generic", version, content)).Want(t, 201)
	c.PutYAML(t, VersionPath(component, version, "metadata.yaml"), MetadataOf(component)).Want(t, 201)
}

// PushFile pushes a version as one file, as oras does, and says which commit it was built from.
func (c Caller) PushFile(t testing.TB, component, version, commit string, content []byte) {
	t.Helper()
	config := []byte("{}")
	layer := wire.Descriptor(wire.Octets, content)
	layer.Annotations = map[string]string{ocispec.AnnotationTitle: "fw.bin"}
	c.Push(t, component, config)
	c.Push(t, component, content)
	c.Put(t, component, "generic-"+version, wire.JSON(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.entrepot.generic.v1",
		Config: wire.Descriptor(ocispec.MediaTypeEmptyJSON, config), Layers: []ocispec.Descriptor{layer},
		Annotations: map[string]string{ocispec.AnnotationRevision: commit},
	}))
}

// Document is the manifest of a document, as oras makes one, whose two blobs are to be pushed first: the text, and {}.
func Document(kind string, text []byte) []byte {
	layer := wire.Descriptor("application/yaml", text)
	layer.Annotations = map[string]string{ocispec.AnnotationTitle: kind + ".yaml"}
	return wire.JSON(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.entrepot." + kind + ".v1+yaml",
		Config: wire.Descriptor(ocispec.MediaTypeEmptyJSON, []byte("{}")), Layers: []ocispec.Descriptor{layer},
	})
}

// Order asks for a move of what is deployed: promotions, rollbacks or withdrawals, with members given as name, value, name, value…
func (c Caller) Order(t testing.TB, what string, members ...string) wire.Reply {
	t.Helper()
	order := map[string]any{}
	for i := 0; i+1 < len(members); i += 2 {
		order[members[i]] = members[i+1]
	}
	return c.Do(t, "POST", "/api/v1/"+what, wire.JSON(order), "Content-Type", "application/json")
}

// Promote deploys a version at a place, and returns the move's id.
func (c Caller) Promote(t testing.TB, component, version, place string) (id string) {
	t.Helper()
	var made struct{ ID string }
	c.Order(t, "promotions", "component", component, "version", version, "to", place).Want(t, 200, 201).JSON(t, &made)
	return made.ID
}

// Deployed is the version of a component that is deployed at a place, and whether another one was there before that a rollback returns to.
func (c Caller) Deployed(t testing.TB, component, place string) (version string, before bool) {
	t.Helper()
	var l struct {
		Items []struct {
			Domain, Environment, Version string
			Former                       []string
		}
	}
	c.Get(t, Components+component+"/deployed").Want(t, 200).JSON(t, &l)
	for _, d := range l.Items {
		if d.Domain+"."+d.Environment == place {
			return d.Version, len(d.Former) > 0
		}
	}
	return "", false
}
