package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// result is what a scenario gave.
type result struct {
	Name   string               `json:"name"`
	Title  string               `json:"title"`
	Rounds map[string][]measure `json:"rounds"`
	Median map[string]measure   `json:"median"`
	Notes  map[string]string    `json:"notes,omitempty"` // why a peer has no figures, or not all
	Marks  []verdict            `json:"marks,omitempty"`
}

type verdict struct {
	Mark    string `json:"mark"`
	Verdict string `json:"verdict"`
}

func newResult(name, title string) *result {
	return &result{Name: name, Title: title, Rounds: map[string][]measure{}, Median: map[string]measure{}, Notes: map[string]string{}}
}

// close computes the medians and judges the marks.
func (r *result) close(marks []mark) {
	for p, rounds := range r.Rounds {
		r.Median[p] = medians(rounds)
	}
	for _, m := range marks {
		r.Marks = append(r.Marks, verdict{m.String(), m.judge(r.Median)})
	}
}

const (
	labelWidth  = 34
	columnWidth = 16
)

// print writes the scenario's table: a row a metric, a column a peer, and how this registry compares.
func (r *result) print(w io.Writer, names []string) {
	fmt.Fprintf(w, "\n%s: %s\n", r.Name, r.Title)
	row := pad("", labelWidth)
	compared := compare(names)
	for _, n := range names {
		row += right(n, columnWidth)
	}
	for _, n := range compared {
		row += right("ours/"+n, columnWidth+4)
	}
	fmt.Fprintln(w, strings.TrimRight(row, " "))
	for _, s := range shown {
		if !r.has(s.metric) {
			continue
		}
		row := pad("  "+s.label, labelWidth)
		for _, n := range names {
			cell := "—"
			if v, ok := r.Median[n][s.metric]; ok {
				cell = s.show(v)
			}
			row += right(cell, columnWidth)
		}
		for _, n := range compared {
			cell := ""
			a, ok := r.Median[ours][s.metric]
			if b := r.Median[n][s.metric]; ok && b != 0 {
				cell = digits(a/b) + " ×"
			}
			row += right(cell, columnWidth+4)
		}
		fmt.Fprintln(w, strings.TrimRight(row, " "))
	}
	for _, v := range r.Marks {
		fmt.Fprintf(w, "  mark: %s  %s\n", pad(v.Mark, 2*labelWidth), v.Verdict)
	}
	for _, n := range names {
		if note := r.Notes[n]; note != "" {
			fmt.Fprintf(w, "  %s: %s\n", n, note)
		}
	}
}

func (r *result) has(m metric) bool {
	for _, f := range r.Median {
		if _, ok := f[m]; ok {
			return true
		}
	}
	return false
}

// compare returns the peers that this registry is compared with.
func compare(names []string) (others []string) {
	if len(names) == 0 || names[0] != ours {
		return nil
	}
	return names[1:]
}

func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(1, n-utf8.RuneCountInString(s)))
}

func right(s string, n int) string {
	return strings.Repeat(" ", max(1, n-utf8.RuneCountInString(s))) + s
}

// report is the file that -json writes.
type report struct {
	Begin     time.Time         `json:"begin"`
	Took      string            `json:"took"`
	Go        string            `json:"go"`
	CPUs      int               `json:"cpus"`
	Machine   map[string]string `json:"machine"`
	Seconds   float64           `json:"seconds"`
	RoundsOf  int               `json:"rounds"`
	Tags      int               `json:"tags"`
	Peers     map[string]string `json:"peers"`
	Scenarios []*result         `json:"scenarios"`
}

func newReport(o *options) *report {
	return &report{Begin: time.Now().UTC(), Go: runtime.Version(), CPUs: runtime.NumCPU(), Machine: machine(),
		Seconds: o.seconds, RoundsOf: o.rounds, Tags: o.tags, Peers: map[string]string{}}
}

func (r *report) write(path string) error {
	r.Took = time.Since(r.Begin).Round(time.Second).String()
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// summary writes all marks once more, one line each.
func (r *report) summary(w io.Writer) {
	count := map[string]int{}
	fmt.Fprintf(w, "\nmarks\n")
	for _, s := range r.Scenarios {
		for _, v := range s.Marks {
			fmt.Fprintf(w, "  %s%s%s\n", pad(s.Name, 20), pad(v.Mark, 2*labelWidth), v.Verdict)
			count[v.Verdict]++
		}
	}
	fmt.Fprintf(w, "  %d met, %d missed, %d not measured\n", count["met"], count["missed"], count["—"])
}
