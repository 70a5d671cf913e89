package main

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/registry"
)

func quotaVerb(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "quota [PATH]",
		Short: "See what repositories may hold together, and what they do",
		Long: `See what repositories may hold together, and what they do.

With a path, the quotas that it comes under; whoever may push there may see them. Without one, all quotas of the server, which takes the right to manage
it. They are set in its configuration, below quotas:. A push by which one would be exceeded is refused.`,
		Example: "  entrepot quota\n  entrepot quota cloud/dmp\n  entrepot quota registry.example.com/cloud/dmp -o json",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server, path := c.server(), "/quotas"
		if len(args) > 0 {
			ref, err := parseRepository(args[0], server)
			if err != nil {
				return misuse(cmd, "%v", err)
			}
			server, path = ref.Registry, path+"/"+ref.Repository
		}
		items, _, err := c.list(cmd.Context(), server, path, nil, 0)
		if err != nil {
			return explainAll(err, "list quotas of %s", server)
		}
		return printItems(a, output, items, false, []string{"PATH", "BYTES", "MANIFESTS", "TAGS", "REPOSITORIES"}, quotaRow)
	}
	formatFlag(cmd, &output)
	return cmd
}

func quotaRow(s registry.QuotaState) []string {
	plain := func(n int64) string { return strconv.FormatInt(n, 10) }
	of := func(used, most int64, text func(int64) string) string {
		cell := "not counted yet"
		if s.Counted {
			cell = text(used)
		}
		if most > 0 {
			cell += " of " + text(most)
		}
		return cell
	}
	return []string{s.Path, of(s.Used.Bytes, s.Max.Bytes, humanSize), of(s.Used.Manifests, s.Max.Manifests, plain), of(s.Used.Tags, s.Max.Tags, plain),
		of(s.Used.Repositories, s.Max.Repositories, plain)}
}

// quotasOf are the quotas of a configuration.
func quotasOf(c Config) []registry.Quota {
	all := make([]registry.Quota, len(c.Quotas))
	for i, q := range c.Quotas {
		all[i] = registry.Quota{Path: q.On, Max: registry.Usage{Bytes: int64(q.Bytes), Manifests: int64(q.Manifests), Tags: int64(q.Tags), Repositories: int64(q.Repositories)}}
	}
	return all
}

// quotaMetrics measures what is used of each quota whenever it is asked.
type quotaMetrics struct{ registry *registry.Registry }

var (
	quotaUsed = prometheus.NewDesc("entrepot_quota_used", "What the repositories of a quota hold together.", []string{"path", "of"}, nil)
	quotaMax  = prometheus.NewDesc("entrepot_quota_max", "What they may hold.", []string{"path", "of"}, nil)
)

// quotaWait is how long a measurement may take.
const quotaWait = 3 * time.Second

// Describe implements prometheus.Collector.
func (quotaMetrics) Describe(out chan<- *prometheus.Desc) { out <- quotaUsed; out <- quotaMax }

// Collect implements prometheus.Collector.
func (m quotaMetrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), quotaWait)
	defer cancel()
	all, err := m.registry.Quotas(ctx)
	if err != nil {
		return // the index does not answer, which other measurements show
	}
	for _, s := range all {
		for _, d := range []struct {
			of         string
			used, most int64
		}{
			{"bytes", s.Used.Bytes, s.Max.Bytes}, {"manifests", s.Used.Manifests, s.Max.Manifests},
			{"tags", s.Used.Tags, s.Max.Tags}, {"repositories", s.Used.Repositories, s.Max.Repositories},
		} {
			if s.Counted {
				out <- prometheus.MustNewConstMetric(quotaUsed, prometheus.GaugeValue, float64(d.used), s.Path, d.of)
			}
			if d.most > 0 {
				out <- prometheus.MustNewConstMetric(quotaMax, prometheus.GaugeValue, float64(d.most), s.Path, d.of)
			}
		}
	}
}
