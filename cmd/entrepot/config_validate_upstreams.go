package main

import (
	"fmt"
	"path"
	"strings"
	"time"

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
		if u.Callers && ways > 0 {
			j.wrong(at+".callers", "everybody shows credentials of their own, so that there is no username, dockerConfig or helper; leave them out")
		}
		if u.Callers && (u.Offline || u.Writable) {
			j.wrong(at+".callers", "the upstream has to be asked whom it lets in, so that it can be neither offline nor writable")
		}
		if u.AdmissionTTL < 0 || u.AdmissionTTL > time.Hour {
			j.wrong(at+".admissionTTL", "%s is not between 0s and 1h", formatDuration(u.AdmissionTTL))
		}
		if ways > 1 {
			j.wrong(at+".username", "there is more than one of username, dockerConfig and helper; leave the others out")
		}
		for name, bound := range map[string]int64{"bandwidth": int64(u.Bandwidth), "maxBytes": int64(u.MaxBytes), "connections": int64(u.Connections)} {
			if bound < 0 {
				j.wrong(at+"."+name, "%d is less than nothing; 0 means the default", bound)
			}
		}
		for name, time := range map[string]time.Duration{"tagTTL": u.TagTTL, "staleFor": u.StaleFor, "minAge": u.MinAge} {
			if time < 0 {
				j.wrong(at+"."+name, "%s is less than nothing", formatDuration(time))
			}
		}
		for pinned, to := range u.Pins {
			repo, tag, _ := strings.Cut(pinned, ":")
			if !registry.ValidName(repo) || !registry.ValidTag(tag) {
				j.wrong(at+".pins", "%q is not a repository and a tag, as library/alpine:3.20", pinned)
			} else if !registry.ValidDigest(to) {
				j.wrong(at+".pins", "%q is no digest for %s; write it as sha256:…", to, pinned)
			}
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
