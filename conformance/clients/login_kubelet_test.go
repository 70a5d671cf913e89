//go:build clients

package clients

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/entrepot/entrepot/conformance/program"
)

// provided asks the node's credential provider for an image as the kubelet does: a request on standard input, in one of its API's versions, and an answer
// of which it takes no field that it does not know. It returns what --creds wants, "" if there is nothing for the image's registry, and for how
// long the kubelet may keep it.
func (s *session) provided(version, image, podToken string, args ...string) (creds string, keep time.Duration) {
	s.t.Helper()
	asked := map[string]any{"kind": "CredentialProviderRequest", "apiVersion": version, "image": image}
	if podToken != "" {
		asked["serviceAccountToken"] = podToken
		asked["serviceAccountAnnotations"] = map[string]string{"example.com/team": "dmp"}
	}
	d := json.NewDecoder(strings.NewReader(s.pipe(string(encode(s.t, asked)), "entrepot", append([]string{"credential-provider"}, args...)...)))
	d.DisallowUnknownFields()
	var answer struct {
		Kind, APIVersion, CacheKeyType, CacheDuration string
		Auth                                          map[string]struct{ Username, Password string }
	}
	if err := d.Decode(&answer); err != nil {
		s.t.Fatal(err)
	}
	keep, err := time.ParseDuration(answer.CacheDuration)
	if err != nil || answer.Kind != "CredentialProviderResponse" || answer.APIVersion != version || answer.CacheKeyType != "Registry" {
		s.t.Fatalf("the kubelet would refuse this answer: %+v, %v", answer, err)
	}
	host, _, _ := strings.Cut(image, "/")
	if login, ok := answer.Auth[host]; ok {
		return login.Username + ":" + login.Password, keep
	}
	if len(answer.Auth) > 0 {
		s.t.Fatal("there is a login, and it is for another registry")
	}
	return "", keep
}

// deployed are the arguments after the verb in the example of a kubelet's configuration, for the registry of this test and its file with a secret.
func deployed(t *testing.T, secret string) (args []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(program.Root(), "deploy", "credential-provider.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Providers []struct {
			Name string   `yaml:"name"`
			Args []string `yaml:"args"`
		} `yaml:"providers"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil || len(config.Providers) != 1 || len(config.Providers[0].Args) < 2 {
		t.Fatalf("the example is of another form: %+v, %v", config, err)
	}
	known := strings.NewReplacer("registry.example.com", "registry.test", "/var/lib/entrepot/node-secret", secret)
	for _, arg := range config.Providers[0].Args[1:] {
		args = append(args, known.Replace(arg))
	}
	return args
}

// A node pulls with what the provider answers the kubelet.
func TestNodeCredentialProvider(t *testing.T) {
	g := guard(t)
	s := g.node(t)
	const v1, match, app, core = "credentialprovider.kubelet.k8s.io/v1", "--match=registry.test", "registry.test/cloud/dmp/app:1", "registry.test/cloud/core/app:1"
	pod := func(namespace string) string {
		return g.cluster.Sign(map[string]any{
			"sub": "system:serviceaccount:" + namespace + ":default", "aud": []string{audience}, "kubernetes.io": map[string]any{"namespace": namespace},
		})
	}
	secret := s.write("secret", g.secrets["kubelet"]+"\n")
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	pulls := func(creds string) {
		t.Helper()
		s.run("crictl", "pull", "--creds", creds, app)
		contains(t, s.fails("crictl", "pull", "--creds", creds, core), nodeHidden)
		s.run("crictl", "rmi", app)
	}

	creds, _ := s.provided(v1, app, "", deployed(t, secret)...)
	pulls(creds)
	for _, version := range []string{v1, "credentialprovider.kubelet.k8s.io/v1beta1", "credentialprovider.kubelet.k8s.io/v1alpha1"} {
		creds, keep := s.provided(version, app, "", match, "--token-file", secret)
		pulls(creds)
		if keep <= 0 || keep > 10*time.Minute {
			t.Fatalf("the kubelet keeps a secret for %v", keep)
		}
	}
	creds, _ = s.provided(v1, app, "", match, "--username", "kubelet", "--password-file", secret)
	pulls(creds)
	creds, _ = s.with("ENTREPOT_ROBOT=kubelet", "ENTREPOT_SECRET="+g.secrets["kubelet"]).provided(v1, app, "", match)
	pulls(creds)

	// With the token of the pod's own service account, which is not kept for the next pod.
	creds, keep := s.provided(v1, app, pod("dmp"), match, "--token-file", secret)
	pulls(creds)
	if keep != 0 {
		t.Fatalf("the kubelet keeps a pod's token for %v", keep)
	}
	creds, _ = s.provided(v1, app, pod("core"), match, "--token-file", secret)
	contains(t, s.fails("crictl", "pull", "--creds", creds, app), nodeWrong)

	// Nobody else's registry gets the node's secret.
	if creds, _ := s.provided(v1, "other.example.com/cloud/dmp/app:1", "", match, "--token-file", secret); creds != "" {
		t.Fatal("another registry gets the login")
	}
	// A secret that was withdrawn opens nothing, whatever the kubelet has kept.
	creds, _ = s.provided(v1, app, "", match, "--token-file", secret)
	g.manage(http.MethodPatch, "robots/kubelet", map[string]any{"disabled": true}, http.StatusOK)
	contains(t, s.fails("crictl", "pull", "--creds", creds, app), nodeWrong)
	s.absent("/app:1")
}
