package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"oras.land/oras-go/v2/registry/remote/auth"
)

func TestHostMatches_by_the_kubelets_rule(t *testing.T) {
	for _, c := range []struct {
		pattern, host string
		want          bool
	}{
		{"registry.example.com", "registry.example.com", true},
		{"Registry.example.com", "registry.EXAMPLE.com", true},
		{"registry.example.com", "registry.example.com:5000", false},
		{"registry.example.com:5000", "registry.example.com", false},
		{"registry.example.com:5000", "registry.example.com:5000", true},
		{"*.example.com", "registry.example.com", true},
		{"*.example.com", "a.registry.example.com", false},
		{"*.example.com", "example.com", false},
		{"reg*.example.com", "registry.example.com", true},
		{"reg*.example.com", "other.example.com", false},
		{"*", "localhost", true},
		{"*", "docker.io", false},
		{"registry.example.com", "registry.example.com.elsewhere.example.com", false},
		{"registry.example.com", "registryXexample.com", false},
		{"[::1]:5000", "[::1]:5000", true},
		{"[::1]:5000", "[::2]:5000", false},
	} {
		p := provider{match: []string{c.pattern}}
		if got := p.matches(c.host); got != c.want {
			t.Errorf("%s matches %s: %v, want %v", c.pattern, c.host, got, c.want)
		}
	}
}

func TestClipped_cuts_no_character_in_two(t *testing.T) {
	for at := range 4 {
		if got := clipped(strings.Repeat("x", 100-at) + "€uro"); strings.Contains(got, `\x`) || !strings.HasSuffix(got, `…"`) {
			t.Errorf("with a character at %d: %s", 100-at, got)
		}
	}
	if got := clipped("a\nb"); got != `"a\nb"` {
		t.Errorf("%s", got)
	}
}

func TestHostOfImage_is_a_host_and_no_pattern(t *testing.T) {
	for image, want := range map[string]string{
		"registry.example.com/cloud/app":        "registry.example.com",
		"registry.example.com:5000/app:1.0":     "registry.example.com:5000",
		"registry.example.com/app@sha256:00":    "registry.example.com",
		"localhost/app":                         "localhost",
		"[2001:db8::1]:5000/app":                "[2001:db8::1]:5000",
		"app":                                   "docker.io",
		"library/app:1.0":                       "docker.io",
		"":                                      "",
		"*.example.com/app":                     "",
		"?.example.com/app":                     "",
		"[a-z].example.com/app":                 "",
		"registry..example.com/app":             "",
		"registry.example.com:/app":             "",
		"registry.example.com:80a/app":          "",
		"user@registry.example.com/app":         "",
		"registry.example.com\n/app":            "",
		strings.Repeat("a.", 200) + "com/app":   "",
		"https://registry.example.com/cloud/ap": "",
	} {
		got, err := hostOfImage(image)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v; want %q", image, got, err, want)
		}
	}
}

// TestProvider_keeps_an_answer_no_longer_than_its_token looks at how long the kubelet may go on with what it was told.
func TestProvider_keeps_an_answer_no_longer_than_its_token(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	signed := func(claims string) string {
		return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	}
	for _, c := range []struct {
		token, want string
	}{
		{"ent_plain", "5m0s"},
		{signed(fmt.Sprintf(`{"exp":%d}`, now.Unix()+3600)), "5m0s"},
		{signed(fmt.Sprintf(`{"exp":%d.5}`, now.Unix()+90)), "1m30s"},
		{signed(fmt.Sprintf(`{"exp":%d}`, now.Unix())), ""},
		{signed(`{"exp":1}`), ""},
		{signed(`{"exp":1e300}`), "5m0s"},
		{signed(`{"exp":-1}`), "5m0s"},
		{signed(`{}`), "5m0s"},
		{"a.!.c", "5m0s"},
	} {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(c.token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		p := provider{match: []string{"registry.example.com"}, tokenFile: file, now: func() time.Time { return now }}
		answer, err := p.serve(strings.NewReader(`{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"registry.example.com/a"}`))
		if c.want == "" {
			if err == nil || strings.Contains(err.Error(), c.token) {
				t.Errorf("%s: %v; want to be told that it has ended, and not the token", c.token, err)
			}
			continue
		}
		if err != nil || answer.CacheDuration != c.want || answer.Auth["registry.example.com"] != (registryLogin{"token", c.token}) {
			t.Errorf("%s: %+v, %v; want to be kept for %s", c.token, answer, err, c.want)
		}
	}
}

func TestProvider_reads_no_more_than_a_request(t *testing.T) {
	p := provider{match: []string{"*.example.com"}}
	long := `{"kind":"CredentialProviderRequest","serviceAccountToken":"canary","image":"` + strings.Repeat("a", providerLimit) + `"}`
	if _, err := p.serve(strings.NewReader(long)); err == nil || !strings.Contains(err.Error(), "longer than 1048576 bytes") {
		t.Errorf("%v; want it refused for its length", err)
	}
}

// FuzzProvider sends anything. An answer names the image's own host or nobody, and only a host that was named by --match gets the login.
func FuzzProvider(f *testing.F) {
	f.Add(`{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"registry.example.com/cloud/app"}`)
	f.Add(`{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1alpha1","image":"*.example.com:5000/a","serviceAccountToken":"t"}`)
	f.Add(`{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"docker.io/library/a:1@sha256:0"}`)
	f.Add(`{"image":`)
	f.Fuzz(func(t *testing.T, request string) {
		p := provider{
			match: []string{"*.example.com", "registry.example.com:5000"},
			now:   time.Now,
			environment: func() (auth.Credential, error) {
				if len(request)%7 == 0 {
					return auth.EmptyCredential, errors.New("none")
				}
				return auth.Credential{Username: "node", Password: "canary"}, nil
			},
		}
		answer, err := p.serve(strings.NewReader(request))
		if err != nil {
			if strings.Contains(err.Error(), "canary") && !strings.Contains(request, "canary") {
				t.Errorf("the error holds the secret: %v", err)
			}
			return
		}
		if _, err := json.Marshal(answer); err != nil || !slices.Contains(providerVersions, answer.APIVersion) || answer.CacheKeyType != "Registry" {
			t.Errorf("%+v, %v: no answer that a kubelet would take", answer, err)
		}
		if len(answer.Auth) > 1 {
			t.Errorf("%d logins for one image", len(answer.Auth))
		}
		for host := range answer.Auth {
			if strings.ContainsAny(host, "*?[/ ") || !strings.HasSuffix(strings.TrimSuffix(strings.ToLower(host), ":5000"), ".example.com") {
				t.Errorf("%q got the login", host)
			}
		}
	})
}

// TestExampleOfTheKubelets runs the providers of the example in the tree as a kubelet would.
func TestExampleOfTheKubelets(t *testing.T) {
	text, err := os.ReadFile("../../deploy/credential-provider.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The lines that are to be chosen instead are read as well.
	above, below, _ := strings.Cut(string(text), "    # tokenAttributes:")
	whole := above + "    tokenAttributes:" + strings.ReplaceAll(below, "    # ", "    ")
	var config struct {
		Kind      string `yaml:"kind"`
		Providers []struct {
			Version         string   `yaml:"apiVersion"`
			MatchImages     []string `yaml:"matchImages"`
			Args            []string `yaml:"args"`
			TokenAttributes struct {
				CacheType string `yaml:"cacheType"`
			} `yaml:"tokenAttributes"`
		} `yaml:"providers"`
	}
	if err := yaml.Unmarshal([]byte(whole), &config); err != nil {
		t.Fatal(err)
	}
	if config.Kind != "CredentialProviderConfig" || len(config.Providers) != 1 || config.Providers[0].TokenAttributes.CacheType != "Token" {
		t.Fatalf("%+v is no configuration of one provider", config)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("ent_secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := config.Providers[0]
	for i, arg := range p.Args {
		if name, ok := strings.CutPrefix(arg, "--token-file="); ok && name != "" {
			p.Args[i] = "--token-file=" + secret
		}
	}
	request := fmt.Sprintf(`{"kind":"CredentialProviderRequest","apiVersion":%q,"image":"%s/cloud/app"}`, p.Version, p.MatchImages[0])
	code, stdout, stderr := typed(t, nil, request, p.Args...)
	if want := fmt.Sprintf(`"auth":{%q:{"username":"token","password":"ent_secret"}}`, p.MatchImages[0]); code != 0 || !strings.Contains(stdout, want) {
		t.Errorf("exit status %d: %s%s; want %s", code, stdout, stderr, want)
	}
}
