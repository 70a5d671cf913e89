package main

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// componentFilter is the flags by which components and versions are searched for.
type componentFilter struct {
	values map[string]*string // by the names of the flags, which are those of the server's parameters
	labels []string
	port   int
	good   bool
	newest bool
	limit  int
}

// register adds the flags.
func (f *componentFilter) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.values = map[string]*string{}
	for _, one := range [][2]string{
		{"group", "only of this group (cloud/dmp) or domain (cloud)"},
		{"team", "only of this team"},
		{"domain", "only what may be deployed in this domain"},
		{"env", "only what may be deployed in this environment"},
		{"format", "only what there is in this format: docker, deb or generic"},
		{"arch", "only what there is for this architecture"},
		{"level", "only what has findings of this level: deny or warn"},
		{"at", "what there was at " + momentHelp},
	} {
		f.values[one[0]] = flags.String(one[0], "", one[1])
	}
	flags.StringArrayVar(&f.labels, "label", nil, "only images with this label (key=value); may be repeated")
	flags.IntVar(&f.port, "port", 0, "only what listens on this port")
	flags.BoolVar(&f.good, "good", false, "only what is known good, or with --good=false only what is not")
	flags.BoolVar(&f.newest, "newest", false, "the newest first, instead of by name and version")
	flags.IntVar(&f.limit, "limit", 0, "no more than so many (otherwise all)")
}

// query is what the server is asked with.
func (f *componentFilter) query(cmd *cobra.Command) (url.Values, error) {
	q := url.Values{}
	for name, value := range f.values {
		if *value != "" {
			q.Set(name, *value)
		}
	}
	if group := q.Get("group"); group != "" {
		q.Set("group", strings.Trim(group, "/"))
	}
	if q.Has("format") && !slices.Contains(formatNames, q.Get("format")) {
		return nil, misuse(cmd, "--format %q is none of %s", q.Get("format"), strings.Join(formatNames, ", "))
	}
	if q.Has("level") && q.Get("level") != "deny" && q.Get("level") != "warn" {
		return nil, misuse(cmd, "--level %q is neither deny nor warn", q.Get("level"))
	}
	if q.Has("at") {
		at, err := moment(q.Get("at"), time.Now())
		if err != nil {
			return nil, misuse(cmd, "--at: %v", err)
		}
		q.Set("at", at)
	}
	for _, label := range f.labels {
		if key, _, ok := strings.Cut(label, "="); !ok || key == "" {
			return nil, misuse(cmd, "--label %q is no label; write it as key=value", label)
		}
		q.Add("label", label)
	}
	if cmd.Flags().Changed("port") {
		if f.port < 1 || f.port > 65535 {
			return nil, misuse(cmd, "--port %d is no port; there are 1 to 65535", f.port)
		}
		q.Set("port", strconv.Itoa(f.port))
	}
	if cmd.Flags().Changed("good") {
		q.Set("good", strconv.FormatBool(f.good))
	}
	if f.newest {
		q.Set("sort", "newest")
	}
	if f.limit < 0 {
		return nil, misuse(cmd, "--limit %d is less than none", f.limit)
	}
	return q, nil
}

// formatNames are the formats of a version that have files.
var formatNames = []string{"docker", "deb", "generic"}
