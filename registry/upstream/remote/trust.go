package remote

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// hubRealm is where Docker Hub's tokens come from.
const hubRealm = "auth.docker.io:443"

// trust is the set of those who may be told credentials, each as host:port.
type trust map[string]bool

func newTrust(name string, urls []*url.URL, realms []string) (trust, error) {
	t := trust{}
	for _, u := range urls {
		t[origin(u)] = true
	}
	if isHub(name) {
		t[hubRealm] = true
	}
	for _, realm := range realms {
		u, err := url.Parse("https://" + realm)
		if err != nil || u.Host != realm || u.Hostname() == "" {
			return nil, fmt.Errorf("realm %.60q: write the host of a token service, as auth.example.com or auth.example.com:8443", realm)
		}
		t[origin(u)] = true
	}
	return t, nil
}

// may tells whether credentials may be sent to u.
func (t trust) may(u *url.URL) bool { return private(u) && t[origin(u)] }

// private tells whether nobody on the way can read what is sent to u.
func private(u *url.URL) bool { return u.Scheme == "https" || loopback(u.Hostname()) }

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// origin is the host and port of u, to be compared.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	} else if port == "" {
		port = "80"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && origin(a) == origin(b) }
