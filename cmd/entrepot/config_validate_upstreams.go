package main

import (
	"fmt"
	"path"
	"strings"

	"github.com/entrepot/entrepot/registry"
)

func (j *judge) upstreams(all []UpstreamEntry) {
	names, root := map[string]bool{}, ""
	for i, u := range all {
		at := fmt.Sprintf("upstreams[%d]", i)
		switch {
		case u.Name == "":
			j.missing(at+".name", "write what repositories' names begin with, as docker.io")
		case !registry.ValidName(u.Name) || strings.Contains(u.Name, "/") || !strings.Contains(u.Name, "."):
			j.wrong(at+".name", "%q is no name of an upstream; write it in lower-case letters, with a full stop in it, as docker.io", u.Name)
		case names[u.Name]:
			j.wrong(at+".name", "%q is there twice; give it several urls", u.Name)
		}
		names[u.Name] = true
		if u.Root && root != "" {
			j.wrong(at+".root", "%s is that already; there is one at most", root)
		} else if u.Root {
			root = u.Name
		}
		if len(u.URLs) == 0 {
			j.missing(at+".urls", "write where it is, as [https://registry-1.docker.io]")
		}
		for n, address := range u.URLs {
			j.encrypted(fmt.Sprintf("%s.urls[%d]", at, n), address)
		}
		switch {
		case u.Password != "" && u.PasswordFile != "":
			j.wrong(at+".password", "there is a passwordFile as well; leave one of them out")
		case (u.Password != "" || u.PasswordFile != "") && u.Username == "":
			j.missing(at+".username", "a password is somebody's; say whose")
		case u.Username != "" && u.Password == "" && u.PasswordFile == "":
			j.missing(at+".passwordFile", "a username needs its password")
		}
		ways := 0
		for _, way := range []string{u.Username, u.DockerConfig, u.Helper} {
			if way != "" {
				ways++
			}
		}
		if ways > 1 {
			j.wrong(at+".username", "there is more than one of username, dockerConfig and helper; leave the others out")
		}
		if u.Bandwidth < 0 {
			j.wrong(at+".bandwidth", "%v is less than nothing; 0 means no limit", u.Bandwidth)
		}
		if u.TagTTL < 0 {
			j.wrong(at+".tagTTL", "%s is less than nothing", formatDuration(u.TagTTL))
		}
		for name, patterns := range map[string][]string{"allow": u.Allow, "deny": u.Deny} {
			for n, p := range patterns {
				if _, err := path.Match(p, "x"); err != nil || p == "" {
					j.wrong(fmt.Sprintf("%s.%s[%d]", at, name, n), "%q is no pattern; write it like library/* or team/**", p)
				}
			}
		}
	}
}
