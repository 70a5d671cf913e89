package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"slices"
	"strings"
	"time"
)

const exampleHead = `# Configuration of entrepot: every key, with its default. All of them are optional.
#
# Each key can also be given by a variable, ENTREPOT_ and its path in capitals joined by _: ENTREPOT_LISTEN, ENTREPOT_STORAGE_DISK_PATH.
# A variable has the last word over this file, and a flag over both. Sizes are written like 4MiB, durations like 30s, 24h or 7d.
# Lists are empty; what one could hold stands commented below it, and is had by taking away the column of #. A variable gives a list as YAML
# or JSON, in the place of all that is in this file: ENTREPOT_AUTH_GRANTS='[{who: user:alice, role: admin, on: "**"}]'
# Look over a file with: entrepot config check FILE
`

// writeExample writes the commented example.
func writeExample(w io.Writer) error {
	sentences, err := configSentences()
	if err != nil {
		return err
	}
	c, sample := defaultConfig(), sampleConfig()
	lists := whole(&sample).variables()
	p := printer{sentences: sentences, told: map[string]bool{}, sample: func(path string) (key, bool) {
		i := slices.IndexFunc(lists, func(k key) bool { return k.path == path && k.value.Len() > 0 })
		if i < 0 {
			return key{}, false
		}
		return lists[i], true
	}}
	p.section(whole(&c), "")
	_, err = io.WriteString(w, exampleHead+p.out.String())
	return err
}

// sampleConfig is the default with something in every list, as one would write it.
func sampleConfig() Config {
	c := defaultConfig()
	c.Auth.Grants = []GrantEntry{
		{Who: "user:alice", Role: "admin", On: "**"},
		{Who: "group:dmp", Role: "developer", On: "cloud/dmp"},
		{Who: "anyone", Role: "reader", On: "public"},
	}
	c.Auth.OIDC = []OIDCProvider{
		{
			Name: "pipelines", Issuer: "https://gitlab.example.com", Audience: "https://registry.example.com", Kind: "ci", NameClaim: "sub",
			Bind: []Binding{
				{Claims: map[string]string{"project_path": "cloud/dmp/*", "ref_protected": "true"}, Role: "ci", On: "{project_path}"},
				{Claims: map[string]string{"project_path": "cloud/dmp/*"}, Role: "reader", On: "cloud"},
			},
		},
		{
			Name: "corp", Issuer: "https://login.example.com/realms/corp", ClientID: "registry", ClientSecretFile: "/etc/entrepot/corp.secret",
			Scopes: []string{"profile", "groups"}, UserClaim: "preferred_username", GroupsClaim: "groups", GroupsPrefix: "corp:",
		},
	}
	c.Auth.GitLab = []GitLabServer{{
		Name: "gitlab", URL: "https://gitlab.example.com",
		Bind: []Binding{{Claims: map[string]string{"token": "job", "project_path": "cloud/**"}, Role: "ci", On: "{project_path}"}},
	}}
	c.Auth.LDAP = []LDAPDirectory{{
		URL: "ldaps://ldap.example.com", BindDN: "cn=registry,ou=services,dc=example,dc=com", BindPasswordFile: "/etc/entrepot/ldap.secret",
		UserBase: "ou=people,dc=example,dc=com", UserFilter: "(&(objectClass=person)(uid={name}))", NameAttribute: "uid",
		GroupBase: "ou=groups,dc=example,dc=com", GroupFilter: "(member={dn})", GroupAttribute: "cn",
	}}
	c.Upstreams = []UpstreamEntry{{
		Name: "docker.io", URLs: []string{"https://registry-1.docker.io"}, Username: "robot", PasswordFile: "/etc/entrepot/hub.secret", TagTTL: 5 * time.Minute,
		Allow: []string{"library/*"},
	}}
	c.Mirror = []MirrorEntry{{
		Repository: "docker.io/library/alpine", Tags: []string{"latest"}, Versions: ">=3.18 <4", Last: 5, Platforms: []string{"linux/amd64", "linux/arm64"},
		Referrers: true, Every: 6 * time.Hour,
	}}
	c.Retention = []RetentionEntry{
		{Repositories: []string{"cloud/**"}, Tags: []string{"pr-*", "scratch-*"}, KeepLast: 10, KeepPulled: 720 * time.Hour, OlderThan: 336 * time.Hour},
		{Repositories: []string{"**"}, Untagged: 720 * time.Hour},
	}
	c.Quotas = []QuotaEntry{{On: "cloud/dmp", Bytes: 100 << 30, Tags: 10_000}}
	c.Artifacts.BaseImages = []string{"python:3.*-alpine", "registry.example.com/base/*"}
	c.Artifacts.RequiredLabels = []string{"org.opencontainers.image.revision"}
	c.Artifacts.Rules = map[string]string{"manifest.base_image.denied": "warn", "version.ownership.missing": "off"}
	c.Artifacts.LastEnvironments = []string{"prod", "live"}
	return c
}

// configSentences returns the comment above each field of the configuration, by "Struct.Field".
func configSentences() (map[string][]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	sentences := map[string][]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		t, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		s, ok := t.Type.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range s.Fields.List {
			for _, name := range f.Names {
				if text := strings.TrimSpace(f.Doc.Text()); text != "" {
					sentences[t.Name.Name+"."+name.Name] = strings.Split(text, "\n")
				}
			}
		}
		return true
	})
	return sentences, nil
}
