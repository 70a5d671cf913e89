package main

import (
	"net/url"
	"path/filepath"
	"strings"
)

// peer looks at where damaged content may be had besides. This registry's own store is no such place.
func (j *judge) peer(c Config) {
	p, o := c.Scrub.Peer, c.Storage.S3
	if content, _, _ := c.paths(); p.Disk != "" && o.Bucket == "" && filepath.Clean(p.Disk) == filepath.Clean(content) {
		j.wrong("scrub.peer.disk", "%s is where this registry keeps its own content; name another folder", p.Disk)
	}
	s := p.S3
	switch {
	case s.Bucket == "" && (s.Endpoint != "" || s.AccessKey != "" || s.SecretKeyFile != "" || s.Prefix != "" || s.Region != ""):
		j.missing("scrub.peer.s3.bucket", "write the bucket's name, or leave the whole section out")
	case (s.AccessKey == "") != (s.SecretKeyFile == ""):
		j.missing("scrub.peer.s3.secretKeyFile", "an access key and its secret key belong together")
	case s.Bucket != "" && s.Bucket == o.Bucket && s.Endpoint == o.Endpoint && strings.Trim(s.Prefix, "/") == strings.Trim(o.Prefix, "/"):
		j.wrong("scrub.peer.s3.bucket", "this is where this registry keeps its own content; name another bucket or prefix")
	}
	j.webAddress("scrub.peer.s3.endpoint", s.Endpoint, true)
	r := p.Registry
	if r.URL != "" {
		j.encrypted("scrub.peer.registry.url", r.URL)
	} else if r.Username != "" || r.PasswordFile != "" || r.CA != "" || len(r.Realms) > 0 {
		j.missing("scrub.peer.registry.url", "write it like https://registry.example.com, or leave the whole section out")
	}
	switch {
	case r.Username == "" && r.PasswordFile != "":
		j.missing("scrub.peer.registry.username", "a password is somebody's; say whose")
	case r.Username != "" && r.PasswordFile == "":
		j.missing("scrub.peer.registry.passwordFile", "a username needs its password")
	}
	for _, realm := range r.Realms {
		if u, err := url.Parse("https://" + realm); err != nil || u.Host != realm || u.Hostname() == "" {
			j.wrong("scrub.peer.registry.realms", "%q is no host; write it like auth.example.com or auth.example.com:8443", realm)
		}
	}
}
