package main

import (
	"fmt"
	"math"
	"strconv"
)

// metric names a figure. Times are in microseconds, memory in MiB.
type metric string

const (
	rate       metric = "ops_per_second"
	throughput metric = "mib_per_second"
	cpu        metric = "server_cpu_us_per_op"
	p50        metric = "p50_us"
	p99        metric = "p99_us"
	page       metric = "page_us"
	rss        metric = "server_rss_mib"
	generator  metric = "generator_cpu_us_per_op"
	against10  metric = "cpu_ratio_to_10_tags"
	lost       metric = "lost"
	cold       metric = "start_cold_us"
	warm       metric = "start_warm_us"
	files      metric = "files"
	rssStart   metric = "rss_at_start_mib"
	growPush   metric = "growth_while_pushed_mib"
	growPull   metric = "growth_while_pulled_mib"
	peakPush   metric = "peak_while_pushed_mib"
	peakPull   metric = "peak_while_pulled_mib"
	syncConfig metric = "syncs_config"
	syncLayer  metric = "syncs_layer"
	syncImage  metric = "syncs_manifest"
	syncFirst  metric = "syncs_first_push"
	syncNext   metric = "syncs_next_push"

	cpuBelow metric = "database_cpu_us_per_op"
	rowBytes metric = "index_bytes_per_manifest"
	ready    metric = "start_ready_us"
	swept    metric = "blobs_swept_per_second"
	letGo    metric = "seconds_to_let_go"
	deleted  metric = "seconds_to_delete"
	collect  metric = "seconds_to_collect"
	backup   metric = "seconds_to_back_up"
	verify   metric = "seconds_to_verify"

	backupBytes metric = "backup_bytes_per_manifest"

	rateWithout metric = "ops_per_second_without"
	cpuWithout  metric = "server_cpu_us_per_op_without"
	p99Without  metric = "p99_us_without"
	ratio       metric = "rate_ratio_to_without"
	cpuMore     metric = "server_cpu_us_per_op_more_than_without"
	hashes      metric = "passwords_checked_per_second"

	total     metric = "until_all_have_it_us"
	overOne   metric = "ratio_to_one_direct_pull"
	overAll   metric = "ratio_to_all_pulling_directly"
	toLocal   metric = "rate_ratio_to_pushed_here"
	cpuLocal  metric = "server_cpu_us_per_op_pushed_here"
	askedEach metric = "upstream_requests_per_object"
	farSent   metric = "upstream_mib"
	lag       metric = "first_byte_lag_p50_us"
	lagMost   metric = "first_byte_lag_most_us"
)

// shown is what the tables show, in this order, and how.
var shown = []struct {
	metric metric
	label  string
	show   func(float64) string
}{
	{rate, "operations/s", number},
	{throughput, "MiB/s", number},
	{cpu, "server CPU per operation", span},
	{cpuBelow, "database CPU per operation", span},
	{p50, "latency p50", span},
	{p99, "latency p99", span},
	{rateWithout, "operations/s, without", number},
	{ratio, "operations/s, × without", number},
	{cpuWithout, "server CPU, without", span},
	{cpuMore, "server CPU, more than without", span},
	{p99Without, "latency p99, without", span},
	{hashes, "passwords checked/s", number},
	{page, "a page", span},
	{against10, "CPU, × among 10 tags", number},
	{lost, "lost", number},
	{cold, "start, cold files", span},
	{warm, "start, warm files", span},
	{ready, "start until /readyz, warm files", span},
	{rowBytes, "index, bytes a manifest", number},
	{swept, "blobs swept/s", number},
	{letGo, "s until all were let go", number},
	{deleted, "s until all were deleted", number},
	{collect, "gc run, s", number},
	{backup, "backup, s", number},
	{backupBytes, "backup, bytes a manifest", number},
	{verify, "verify, s", number},
	{files, "files and folders on disk", number},
	{rssStart, "server RSS at start, MiB", number},
	{rss, "server RSS, MiB", number},
	{peakPush, "peak RSS, pushed, MiB", number},
	{growPush, "growth, pushed, MiB", number},
	{peakPull, "peak RSS, pulled, MiB", number},
	{growPull, "growth, pulled, MiB", number},
	{syncConfig, "syncs: config", number},
	{syncLayer, "syncs: layer", number},
	{syncImage, "syncs: manifest and tag", number},
	{syncNext, "syncs: a push", number},
	{syncFirst, "syncs: a repository's first push", number},
	{total, "until all have it", span},
	{overOne, "× one client's direct pull", number},
	{overAll, "× direct pulls of all at once", number},
	{toLocal, "rate, × of what was pushed here", number},
	{cpuLocal, "server CPU, what was pushed here", span},
	{askedEach, "upstream requests for each object", number},
	{farSent, "MiB from the upstream", number},
	{lag, "first byte after upstream's, p50", span},
	{lagMost, "first byte after upstream's, most", span},
	{generator, "generator CPU per operation", span},
}

// show writes a figure as its metric is shown.
func (m metric) show(v float64) string {
	for _, s := range shown {
		if s.metric == m {
			return s.show(v)
		}
	}
	return number(v)
}

// label returns the metric's name for people.
func (m metric) label() string {
	for _, s := range shown {
		if s.metric == m {
			return s.label
		}
	}
	return string(m)
}

// span writes microseconds.
func span(us float64) string {
	switch {
	case us < 1000:
		return digits(us) + " µs"
	case us < 1e6:
		return digits(us/1000) + " ms"
	default:
		return digits(us/1e6) + " s"
	}
}

// number writes a figure with three digits or more, and thousands apart.
func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	if v < 1000 {
		return digits(v)
	}
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// digits writes three digits.
func digits(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}
