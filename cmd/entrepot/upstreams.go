package main

import (
	"cmp"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream"
	"github.com/entrepot/entrepot/registry/upstream/remote"
)

// defaultTagTTL is for how long nobody asks an upstream again what a tag names.
const defaultTagTTL = 5 * time.Minute

// openUpstreams returns the registry with those that are pulled through it; nil if there are none. Nothing is asked of them yet, so that they may be down.
func (k *components) openUpstreams(c Config, reg *registry.Registry, below registry.Source) (*upstream.Through, error) {
	if len(c.Upstreams) == 0 {
		return nil, nil
	}
	var all []upstream.Upstream
	for _, entry := range c.Upstreams {
		var credentials remote.Source
		switch {
		case entry.DockerConfig != "":
			credentials = remote.DockerConfig(entry.DockerConfig, entry.Name)
		case entry.Helper != "":
			credentials = remote.Helper(entry.Helper, entry.Name)
		case entry.PasswordFile != "":
			credentials = remote.PasswordFile(entry.Username, entry.PasswordFile)
		case entry.Username != "":
			credentials = remote.Static(entry.Username, entry.Password)
		}
		r, err := remote.New(remote.Config{
			Name: entry.Name, URLs: entry.URLs, Credentials: credentials, Realms: entry.Realms, CA: entry.CA,
			Bandwidth: int64(entry.Bandwidth), Connections: entry.Connections, ManifestBytes: int64(c.Limits.ManifestBytes), Log: k.log,
		})
		if err != nil {
			return nil, err
		}
		pins := map[string]digest.Digest{}
		for pinned, to := range entry.Pins {
			repo, tag, _ := strings.Cut(pinned, ":")
			pins[remote.CanonicalRepo(entry.Name, repo)+":"+tag] = digest.Digest(to)
		}
		all = append(all, upstream.Upstream{
			Remote: r, TagTTL: cmp.Or(entry.TagTTL, defaultTagTTL), StaleFor: entry.StaleFor, Allow: entry.Allow, Deny: entry.Deny,
			MinAge: entry.MinAge, MaxBytes: int64(entry.MaxBytes), Pins: pins, Writable: entry.Writable, Offline: entry.Offline,
		})
	}
	return upstream.New(upstream.Config{
		Local: reg, Below: below, Index: k.index, Upstreams: all, Log: k.log,
		Keeps: func(repo, tag string) bool { return k.mirrors != nil && k.mirrors.Keeps(repo, tag) },
	})
}

// measureUpstreams adds what is known of upstreams to the measurements.
func measureUpstreams(to prometheus.Registerer, through *upstream.Through) {
	to.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "entrepot_upstream_stale_total", Help: "Answers from what is kept because an upstream did not answer.",
	}, func() float64 { return float64(through.Stale()) }))
	for _, r := range through.Remotes() {
		labels := prometheus.Labels{"upstream": r.Name()}
		to.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "entrepot_upstream_up", ConstLabels: labels,
				Help: "Whether an upstream is asked: 0 while it is left alone because it does not answer."},
				func() float64 {
					if r.Healthy() {
						return 1
					}
					return 0
				}),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "entrepot_upstream_quota_remaining", ConstLabels: labels,
				Help: "Pulls that an upstream still allows, as it said last; -1 if it says nothing."},
				func() float64 {
					if _, remaining, _, known := r.Limits(); known {
						return float64(remaining)
					}
					return -1
				}),
		)
		if _, counted := through.Kept(r.Name()); counted {
			to.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "entrepot_upstream_kept_bytes", ConstLabels: labels,
				Help: "Bytes that are kept of an upstream that has a bound, about."},
				func() float64 {
					kept, _ := through.Kept(r.Name())
					return float64(kept)
				}))
		}
	}
}
