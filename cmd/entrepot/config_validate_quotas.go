package main

import (
	"fmt"
	"strings"

	"github.com/entrepot/entrepot/registry"
)

// maxQuotas is how many quotas are taken.
const maxQuotas = 1000

// quotas looks at what paths may hold.
func (j *judge) quotas(all []QuotaEntry, upstreams []UpstreamEntry) {
	if len(all) > maxQuotas {
		j.wrong("quotas", "there are %d; at most %d are taken", len(all), maxQuotas)
		return
	}
	first := map[string]int{}
	for i, q := range all {
		at := fmt.Sprintf("quotas[%d]", i)
		if q.On != registry.Everywhere && !registry.ValidName(q.On) {
			j.wrong(at+".on", "%q is no path of repositories; write it like cloud/dmp, or ** for everything", q.On)
		} else if before, twice := first[q.On]; twice {
			j.wrong(at+".on", "quotas[%d] is about %s already; write one for each path", before, q.On)
		} else {
			first[q.On] = i
		}
		for _, u := range upstreams {
			if !u.Writable && (q.On == u.Name || strings.HasPrefix(q.On, u.Name+"/")) {
				j.wrong(at+".on", "what is kept of %s is bounded by maxBytes of its entry in upstreams", u.Name)
			}
		}
		if q.Bytes == 0 && q.Manifests == 0 && q.Tags == 0 && q.Repositories == 0 {
			j.wrong(at, "it bounds nothing; write at least one of bytes, manifests, tags and repositories")
		}
	}
}
