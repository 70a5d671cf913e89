package main

import (
	"fmt"
	"slices"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// What the environment of a job may say to log in with. It is for the server in ENTREPOT_SERVER and no other.
const (
	envRobot   = "ENTREPOT_ROBOT"    // a robot's name …
	envSecret  = "ENTREPOT_SECRET"   // … and its secret
	envIDToken = "ENTREPOT_ID_TOKEN" // or a token that the job's issuer has signed (OpenID Connect)
)

// tokenUser is what stands in a name's place beside a token that says itself whose it is.
const tokenUser = "token"

// docker's own registry, under all its names: what is meant for us never goes there.
var dockerHosts = []string{"docker.io", "index.docker.io", "registry-1.docker.io"}

// environmentLogin returns what the environment says to log in to a host with; it is empty if that says nothing, or names another server.
func (a *app) environmentLogin(host string) (auth.Credential, error) {
	_, server := splitServer(a.getenv(envServer))
	if server == "" || !strings.EqualFold(server, host) || slices.Contains(dockerHosts, strings.ToLower(host)) {
		return auth.EmptyCredential, nil
	}
	return a.environmentSecret()
}

// environmentSecret is environmentLogin for whoever knows already which host it is for.
func (a *app) environmentSecret() (auth.Credential, error) {
	robot, secret := strings.TrimPrefix(a.getenv(envRobot), "robot:"), strings.TrimSpace(a.getenv(envSecret))
	switch {
	case robot != "" && secret != "":
		return auth.Credential{Username: robot, Password: secret}, nil
	case robot != "" || secret != "":
		return auth.EmptyCredential, fmt.Errorf("%s and %s go together, and only one of them is set", envRobot, envSecret)
	}
	if token := strings.TrimSpace(a.getenv(envIDToken)); token != "" {
		return auth.Credential{Username: tokenUser, Password: token}, nil
	}
	return auth.EmptyCredential, nil
}
