package remote

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

const helperWait = 10 * time.Second

// DockerConfig is a source of what docker login has stored for a host in a config.json, or in the credential helper that it names (credHelpers,
// credsStore). Without an entry for the host it is nobody.
func DockerConfig(path, host string) Source {
	return func(ctx context.Context) (Credentials, error) {
		text, err := readFile(path, 1<<20)
		if err != nil {
			return Credentials{}, fmt.Errorf("read docker's configuration: %w", err)
		}
		var config struct {
			Auths       map[string]dockerAuth
			CredHelpers map[string]string
			CredsStore  string
		}
		if json.Unmarshal(text, &config) != nil {
			return Credentials{}, fmt.Errorf("docker's configuration in %s is not the JSON that docker writes", path)
		}
		for _, key := range dockerKeys(host) {
			if name := config.CredHelpers[key]; name != "" {
				return dockerHelper(ctx, name, key)
			}
		}
		for _, key := range dockerKeys(host) {
			if c, err := config.Auths[key].credentials(); err != nil || !c.none() {
				return c, err
			}
		}
		if config.CredsStore != "" {
			return dockerHelper(ctx, config.CredsStore, dockerKeys(host)[0])
		}
		return Credentials{}, nil
	}
}

// dockerKeys are the ways in which docker's configuration writes a host, the usual one first.
func dockerKeys(host string) []string {
	if isHub(host) {
		return []string{"https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"}
	}
	return []string{host, "https://" + host, "https://" + host + "/", "https://" + host + "/v1/", "https://" + host + "/v2/"}
}

type dockerAuth struct {
	Auth, Username, Password, IdentityToken, RegistryToken string
}

func (a dockerAuth) credentials() (Credentials, error) {
	c := Credentials{Username: a.Username, Password: a.Password, Identity: a.IdentityToken, Bearer: a.RegistryToken}
	if a.Auth != "" {
		pair, err := base64.StdEncoding.DecodeString(a.Auth)
		user, password, ok := strings.Cut(string(pair), ":")
		if err != nil || !ok {
			return Credentials{}, errors.New("an auth in docker's configuration is not a name and a password in base64")
		}
		c.Username, c.Password = user, strings.TrimRight(password, "\x00")
	}
	if c.Identity != "" {
		c.Username, c.Password = "", ""
	}
	return c, nil
}

func dockerHelper(ctx context.Context, name, key string) (Credentials, error) {
	if strings.ContainsAny(name, `/\`) {
		return Credentials{}, fmt.Errorf("docker's configuration names a credential helper %.40q, which is no name", name)
	}
	return askHelper(ctx, "docker-credential-"+name, key)
}

// Helper is a source of what a credential helper of docker has for a host: program is run with the argument get, and reads the host. Where it has
// nothing, it is nobody.
func Helper(program, host string) Source {
	return func(ctx context.Context) (Credentials, error) { return askHelper(ctx, program, dockerKeys(host)[0]) }
}

func askHelper(ctx context.Context, program, server string) (Credentials, error) {
	ctx, cancel := context.WithTimeout(ctx, helperWait)
	defer cancel()
	var out capped
	cmd := exec.CommandContext(ctx, program, "get")
	cmd.Stdin, cmd.Stdout, cmd.WaitDelay = strings.NewReader(server), &out, time.Second
	if err := cmd.Run(); err != nil {
		if strings.Contains(string(out.text), "credentials not found") {
			return Credentials{}, nil
		}
		return Credentials{}, fmt.Errorf("run the credential helper %s for %s: %w", program, server, cmp.Or(ctx.Err(), err))
	}
	var said struct{ Username, Secret string }
	if json.Unmarshal(out.text, &said) != nil || said.Secret == "" {
		return Credentials{}, fmt.Errorf("the credential helper %s did not answer with a Username and a Secret for %s", program, server)
	}
	if said.Username == "<token>" {
		return Credentials{Identity: said.Secret}, nil
	}
	return Credentials{Username: said.Username, Password: said.Secret}, nil
}

// capped keeps as much as a secret may have, and fails beyond.
type capped struct{ text []byte }

func (c *capped) Write(p []byte) (int, error) {
	if len(c.text)+len(p) > 2*maxSecret {
		return 0, io.ErrShortWrite
	}
	c.text = append(c.text, p...)
	return len(p), nil
}
