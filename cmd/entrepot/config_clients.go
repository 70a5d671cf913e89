package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// clientForms are the engines whose configuration can be printed.
var clientForms = []string{"containerd", "docker", "podman"}

func (a *app) configClients() *cobra.Command {
	var path, ca string
	cmd := &cobra.Command{
		Use:   "clients containerd|docker|podman",
		Short: "Print what lets engines pull through this registry",
		Long: `Print what an engine's configuration must hold so that it pulls what is elsewhere through this registry, for the upstreams of the
configuration. Registries that are no upstreams are pulled from as before; if this registry does not answer, so are the upstreams.

  containerd  the files of /etc/containerd/certs.d, each behind a line with its name
  docker      /etc/docker/daemon.json, for the upstream that has root: true; Docker Engine knows mirrors of Docker Hub only
  podman      a file of /etc/containers/registries.conf.d, for podman, buildah, skopeo and CRI-O

The registry's address is url of the configuration, else where it listens. If engines must be given the authority that signed its certificate, since
this machine does not know it by itself or --ca says so, it is told where that file goes: for docker beside the output, which is one file.`,
		Example: "  entrepot config clients containerd --config config.yml\n  entrepot config clients podman --ca /etc/ssl/ours.pem",
		Args:    takes(1, 1),
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&ca, "ca", "", "where the authority's certificate lies on the engines' machines, a PEM file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(clientForms, args[0]) {
			return misuse(cmd, "%q is none of %s", args[0], strings.Join(clientForms, ", "))
		}
		if path == "" {
			path = a.getenv(envConfig)
		}
		c, err := loadConfig(path, a.environ)
		if err != nil {
			return err
		}
		if len(c.Upstreams) == 0 {
			return fmt.Errorf("the configuration has no upstreams: nothing is pulled through")
		}
		own, err := c.ownAuthority(ca)
		if err != nil {
			fmt.Fprintf(a.stderr, "entrepot: %v; if engines do not know who signed it, say so with --ca\n", err)
		}
		text, err := c.forClients(args[0], own)
		if err != nil {
			return err
		}
		if args[0] == "docker" && own.needed {
			fmt.Fprintln(a.stderr, "entrepot: "+own.advice("/etc/docker"))
		}
		_, err = fmt.Fprint(a.stdout, text)
		return err
	}
	return cmd
}

// address is how clients reach the registry.
func (c Config) address() string {
	switch {
	case c.URL != "":
		return strings.TrimSuffix(c.URL, "/")
	case c.TLS.Cert != "":
		return "https://" + c.Listen
	}
	return "http://" + c.Listen
}

func (c Config) forClients(engine string, ca clientAuthority) (string, error) {
	var b strings.Builder
	base := c.address()
	scheme, host, _ := strings.Cut(base, "://")
	if engine == "podman" && ca.needed {
		fmt.Fprintf(&b, "# %s\n\n", ca.advice("/etc/containers"))
	}
	for i, u := range c.Upstreams {
		switch engine {
		case "containerd":
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "# /etc/containerd/certs.d/%s/hosts.toml\nserver = %q\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", u.Name, u.URLs[0], base)
			if ca.needed {
				fmt.Fprintf(&b, "  # %s\n  ca = %q\n", ca.whose, ca.file("/etc/containerd"))
			}
		case "podman":
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "[[registry]]\nprefix = %q\nlocation = %q\n", u.Name, u.home())
			if u.home() != u.Name && strings.HasPrefix(u.URLs[0], "http://") {
				b.WriteString("insecure = true\n")
			}
			fmt.Fprintf(&b, "\n[[registry.mirror]]\nlocation = %q\n", host+"/"+u.Name)
			if scheme == "http" {
				b.WriteString("insecure = true\n")
			}
		case "docker":
			if !u.Root {
				continue
			}
			daemon := map[string][]string{"registry-mirrors": {base}}
			if scheme == "http" {
				daemon["insecure-registries"] = []string{host}
			}
			text, err := json.MarshalIndent(daemon, "", "  ")
			if err != nil {
				return "", err
			}
			return string(text) + "\n", nil
		}
	}
	if b.Len() == 0 {
		return "", fmt.Errorf("no upstream has root: true, and Docker Engine asks its mirror at the root path only: set it for docker.io")
	}
	return b.String(), nil
}

// home is where podman finds the upstream when the mirror does not answer: it knows by itself that docker.io is not the host of Docker Hub.
func (u UpstreamEntry) home() string {
	if u.Name == "docker.io" {
		return u.Name
	}
	_, host, _ := strings.Cut(u.URLs[0], "://")
	return strings.TrimSuffix(host, "/")
}
