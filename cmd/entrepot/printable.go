package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/opencontainers/go-digest"
)

// printable replaces what could move the cursor or recolour the screen. Tags, types and annotations are written by strangers, and
// a terminal obeys what it is shown.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && r != ' ' {
			return '\uFFFD'
		}
		return r
	}, s)
}

// humanSize writes a size for people: 12.3 MiB.
func humanSize(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		f, unit = f/1024, u
		// 1023.95 would be written 1024.0.
		if f < 1023.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// short is enough of a digest to recognise it.
func short(d digest.Digest) string {
	if algorithm, hex, ok := strings.Cut(d.String(), ":"); ok && len(hex) > 12 {
		return algorithm + ":" + hex[:12]
	}
	return printable(d.String())
}

// table prints rows in columns.
func (a *app) table(rows [][]string) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for len(row) > 0 && row[len(row)-1] == "" {
			row = row[:len(row)-1] // an empty last column would only be blanks at the end of the line
		}
		for i := range row {
			row[i] = printable(row[i])
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}
