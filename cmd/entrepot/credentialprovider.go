package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/registry/remote/auth"

	rights "github.com/entrepot/entrepot/auth"
)

// The kubelet's protocol: https://kubernetes.io/docs/reference/config-api/kubelet-credentialprovider.v1/. A plugin answers in the version that it was
// asked in; what is used here is the same in all of them.
var providerVersions = []string{
	"credentialprovider.kubelet.k8s.io/v1", "credentialprovider.kubelet.k8s.io/v1beta1", "credentialprovider.kubelet.k8s.io/v1alpha1",
}

const (
	providerLimit = 1 << 20         // of a request, in bytes
	providerCache = 5 * time.Minute // how long the kubelet may go on with an answer: a secret that was replaced is seen after that
)

type providerRequest struct {
	Kind                string `json:"kind"`
	APIVersion          string `json:"apiVersion"`
	Image               string `json:"image"`
	ServiceAccountToken string `json:"serviceAccountToken"`
}

// providerAnswer has these fields and no others: the kubelet refuses what it does not know.
type providerAnswer struct {
	Kind          string                   `json:"kind"`
	APIVersion    string                   `json:"apiVersion"`
	CacheKeyType  string                   `json:"cacheKeyType"`
	CacheDuration string                   `json:"cacheDuration"`
	Auth          map[string]registryLogin `json:"auth"`
}

type registryLogin struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func credentialProviderVerb(a *app) *cobra.Command {
	var p provider
	cmd := &cobra.Command{
		Use:   "credential-provider --match HOST...",
		Short: "Log a Kubernetes node in: the kubelet's image credential provider",
		Long: `Log a Kubernetes node in. The kubelet runs this before it pulls an image, asks on standard input, and reads the answer on standard output
(API credentialprovider.kubelet.k8s.io). deploy/credential-provider.yaml is an example of its configuration.

What it logs in with is the first of these that there is:
- the token of the pod's service account, where the kubelet's configuration lets it send that along (tokenAttributes);
- --token-file: a file with a robot's secret, or with a token that a cluster or a cloud has signed;
- --username and --password-file;
- ENTREPOT_ROBOT and ENTREPOT_SECRET, or ENTREPOT_ID_TOKEN.

Only registries that --match names get any of it; for the images of others the answer is empty. The files are read each time, and the
kubelet keeps an answer for five minutes at most, a token for no longer than it lasts, and a pod's own token not at all.`,
		Example: "  entrepot credential-provider --match registry.example.com --token-file /var/lib/entrepot/token < request.json",
		Args:    takes(0, 0),
	}
	f := cmd.Flags()
	f.StringArrayVar(&p.match, "match", nil, "a registry that gets the login, as HOST[:PORT]; * stands for one part of the name or a piece of it; may be repeated")
	f.StringVar(&p.tokenFile, "token-file", "", "a file with a token or a robot's secret, which say themselves whose they are")
	f.StringVar(&p.name, "username", "", "who logs in with --password-file")
	f.StringVar(&p.passwordFile, "password-file", "", "a file with the password of --username")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := p.check(); err != nil {
			return misuse(cmd, "%v", err)
		}
		p.now, p.environment = time.Now, a.environmentSecret
		answer, err := p.serve(a.stdin)
		if err != nil {
			return fmt.Errorf("log in for an image: %w", err)
		}
		return json.NewEncoder(a.stdout).Encode(answer)
	}
	return cmd
}

// provider answers the kubelet.
type provider struct {
	match                         []string
	tokenFile, name, passwordFile string
	environment                   func() (auth.Credential, error)
	now                           func() time.Time
}

func (p *provider) check() error {
	if len(p.match) == 0 {
		return errors.New("say which registries get the login with --match")
	}
	for _, m := range p.match {
		if !isHostPattern(m) {
			return fmt.Errorf("--match %s is no host; write it like registry.example.com:5000 or *.example.com", printable(m))
		}
	}
	switch {
	case (p.name == "") != (p.passwordFile == ""):
		return errors.New("--username and --password-file go together")
	case p.name != "" && p.tokenFile != "":
		return errors.New("--token-file and --password-file are two ways to log in; say one of them")
	}
	return nil
}

// serve answers one request.
func (p *provider) serve(in io.Reader) (*providerAnswer, error) {
	content, err := io.ReadAll(io.LimitReader(in, providerLimit+1))
	if err != nil {
		return nil, fmt.Errorf("read the kubelet's request: %w", err)
	}
	if len(content) > providerLimit {
		return nil, fmt.Errorf("the kubelet's request is longer than %d bytes", providerLimit)
	}
	var asked providerRequest
	if err := readJSON(bytes.NewReader(content), &asked); err != nil {
		return nil, errors.New("the kubelet's request is no JSON of the form it must have") // the error could repeat a piece of the token
	}
	if asked.Kind != "CredentialProviderRequest" || !slices.Contains(providerVersions, asked.APIVersion) {
		return nil, fmt.Errorf("this is a %s of %s; it takes a CredentialProviderRequest of %s",
			clipped(asked.Kind), clipped(asked.APIVersion), strings.Join(providerVersions, " or "))
	}
	host, err := hostOfImage(asked.Image)
	if err != nil {
		return nil, err
	}
	answer := &providerAnswer{
		Kind: "CredentialProviderResponse", APIVersion: asked.APIVersion,
		CacheKeyType: "Registry", CacheDuration: providerCache.String(), Auth: map[string]registryLogin{},
	}
	if !p.matches(host) {
		return answer, nil
	}
	login, lasts, err := p.login(asked.ServiceAccountToken)
	if err != nil {
		return nil, err
	}
	answer.CacheDuration = lasts.String()
	answer.Auth[host] = login
	return answer, nil
}

// clipped is what somebody else wrote, quoted and cut, for an error.
func clipped(s string) string { return strconv.Quote(rights.ClipTo(s, 100)) }

// login returns what to log in with, and how long the kubelet may go on with it.
func (p *provider) login(podToken string) (registryLogin, time.Duration, error) {
	var none registryLogin
	switch {
	case podToken != "":
		// It is another one for each pod, and passing it on as it is means that the kubelet must not keep it for others.
		return registryLogin{tokenUser, podToken}, 0, nil
	case p.tokenFile != "":
		token, err := readSecretFile(p.tokenFile)
		if err != nil {
			return none, 0, err
		}
		lasts, err := p.lasts(token)
		if err != nil {
			return none, 0, fmt.Errorf("%s: %w", p.tokenFile, err)
		}
		return registryLogin{tokenUser, token}, lasts, nil
	case p.passwordFile != "":
		password, err := readSecretFile(p.passwordFile)
		return registryLogin{strings.TrimPrefix(p.name, "robot:"), password}, providerCache, err
	}
	given, err := p.environment()
	if err != nil {
		return none, 0, err
	}
	if given == auth.EmptyCredential {
		return none, 0, errors.New("there is nothing to log in with: neither a pod's token nor --token-file, --password-file or " + envRobot)
	}
	lasts, err := p.lasts(given.Password)
	return registryLogin{given.Username, given.Password}, lasts, err
}

func readSecretFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return readSecret(f, name)
}

// lasts returns how long an answer with this token may be kept. Of a signed token it reads when it ends (RFC 7519, section 4.1.4); whether it is any
// good is the registry's to say.
func (p *provider) lasts(token string) (time.Duration, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return providerCache, nil
	}
	var claims struct {
		Expires float64 `json:"exp"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Expires <= 0 || claims.Expires > 1e11 {
		return providerCache, nil
	}
	left := time.Unix(int64(claims.Expires), 0).Sub(p.now())
	if left <= 0 {
		return 0, errors.New("the token has ended; look why nobody renews it")
	}
	return min(left.Truncate(time.Second), providerCache), nil
}

// hostOfImage returns the registry that an image comes from. The kubelet takes it for a pattern, so nothing may stand in it that means something there.
func hostOfImage(image string) (string, error) {
	if image == "" {
		return "", errors.New("the kubelet's request names no image")
	}
	if !hasHost(image) {
		return dockerHosts[0], nil
	}
	host, _, _ := strings.Cut(image, "/")
	if strings.Contains(host, "*") || !isHostPattern(host) {
		return "", fmt.Errorf("the image %s comes from no host", clipped(image))
	}
	return host, nil
}

// isHostPattern tells whether s is a host, with or without a port, in whose name there may be asterisks.
func isHostPattern(s string) bool {
	name, port := cutPort(s)
	for _, r := range port {
		if r < '0' || r > '9' {
			return false
		}
	}
	if len(s) > 300 || strings.HasSuffix(s, ":") || name == "" {
		return false
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && strings.Trim(inner, "0123456789abcdefABCDEF:.") == ""
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || strings.ContainsFunc(part, notOfHosts) {
			return false
		}
	}
	return true
}

func notOfHosts(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '*')
}

// cutPort cuts the port off a host; one without a port has the empty port.
func cutPort(host string) (name, port string) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.HasSuffix(host, "]") {
		return host, ""
	}
	return host[:i], host[i+1:]
}

// matches tells whether a host is one that gets the login, by the kubelet's own rule: as many parts, each of which matches, and the same port.
func (p *provider) matches(host string) bool {
	for _, m := range p.match {
		if hostMatches(strings.ToLower(m), strings.ToLower(host)) {
			return true
		}
	}
	return false
}

func hostMatches(pattern, host string) bool {
	wantName, wantPort := cutPort(pattern)
	name, port := cutPort(host)
	if wantPort != port {
		return false
	}
	if strings.HasPrefix(wantName, "[") {
		return wantName == name
	}
	want, parts := strings.Split(wantName, "."), strings.Split(name, ".")
	if len(want) != len(parts) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], parts[i]); err != nil || !ok {
			return false
		}
	}
	return true
}
