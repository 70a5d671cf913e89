package tree

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"net/url"
	"path"
	"strings"
	"time"
)

// style is all the looks that a page has.
const style = `:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem}` +
	`h1{font-size:1.2rem;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}th{font-weight:600;text-align:left}` +
	`td,th{padding:.2rem 1rem .2rem 0;vertical-align:top}td{border-top:1px solid #8884;overflow-wrap:anywhere}.n{text-align:right;white-space:nowrap}` +
	`time{white-space:nowrap}.s{opacity:.7}`

// pagePolicy lets a page load nothing, run nothing, and stand in no other page; its own style is known by its hash (CSP Level 3).
var pagePolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-" + hashOf(style) + "'"

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

var page = template.Must(template.New("folder").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{.Path}}</title>
<style>` + style + `</style>
</head>
<body>
<h1>{{range .Above}}<a href="{{.Up}}">{{.Name}}</a>/{{end}}{{.Name}}/</h1>
<table>
<thead><tr><th>Name</th><th class="n">Size</th><th>Changed</th><th></th></tr></thead>
<tbody>
{{range .Rows}}<tr><td><a href="{{.To}}">{{.Name}}</a></td><td class="n">{{.Size}}</td><td><time>{{.Changed}}</time></td><td class="s">{{.Note}}</td></tr>
{{end}}</tbody>
</table>
{{with .Next}}<p><a href="{{.}}" rel="next">More</a></p>
{{end}}</body>
</html>
`))

type row struct{ To, Name, Size, Changed, Note string }

// step is a folder above, and the way there.
type step struct{ Up, Name string }

// writePage writes a folder as HTML. All addresses are relative, so that the page holds behind any proxy and in a copy on a disk.
func writePage(w io.Writer, l Listing) error {
	folder := strings.Trim(l.Path, "/")
	data := struct {
		Path, Name, Next string
		Above            []step
		Rows             []row
	}{Path: l.Path, Name: path.Base(folder)}
	parts := strings.Split(folder, "/")
	for i, name := range parts[:len(parts)-1] {
		data.Above = append(data.Above, step{strings.Repeat("../", len(parts)-1-i), name})
	}
	for _, e := range l.Entries {
		data.Rows = append(data.Rows, rowOf(e))
	}
	if l.Next != "" {
		data.Next = nextPage(l.Next, "")
	}
	return page.Execute(w, data)
}

func rowOf(e Entry) row {
	r := row{To: url.PathEscape(e.Name), Name: e.Name}
	if e.Type == Dir {
		r.To, r.Name = r.To+"/", r.Name+"/"
	}
	if e.Size != nil {
		r.Size = humanSize(*e.Size)
	}
	if !e.Modified.IsZero() {
		r.Changed = e.Modified.UTC().Format(time.DateTime)
	}
	switch {
	case e.Title != "":
		r.Note = fmt.Sprintf("pushed as %q", e.Title)
	case len(e.Platforms) > 0:
		r.Note = strings.Join(e.Platforms, ", ")
	}
	return r
}

// humanSize writes a size for people: 12.3 MiB.
func humanSize(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		f, unit = f/1024, u
		if f < 1023.95 { // else it would be written 1024.0
			break
		}
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}
