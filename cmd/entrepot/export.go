package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/entrepot/entrepot/artifacts/tree"
	"github.com/entrepot/entrepot/registry"
)

func exportVerb(a *app) *cobra.Command {
	e := &exporter{app: a}
	var quiet bool
	cmd := &cobra.Command{
		Use:   "export [COMPONENT[@REF]...] DIR",
		Short: "Write versions with all their files and documents into a folder",
		Long: `Write versions with all their files and documents into a folder, as the server shows them under /tree:

  DIR/components/cloud/dmp/ownership.yaml
  DIR/components/cloud/dmp/ms-ingestion/versions/1.0.2/docker/{image.tar,manifest.yaml}
  DIR/components/cloud/dmp/ms-ingestion/versions/1.0.2/deb/{…,manifest.yaml}
  DIR/components/cloud/dmp/ms-ingestion/versions/1.0.2/{metadata.yaml,ownership.yaml,SHA256SUMS}

Without a component it is all that one may pull; cloud/dmp is all of that group. REF is a version, latest, a place as cloud.prod, or commit- and a
commit. An image.tar is for docker load and podman load; of an image for several platforms it has that for linux/amd64, or else the first.

Everything is checked against its digest before it gets its name. What is there already and right is not fetched again, so an export that
was interrupted goes on when it is run once more. What is in DIR and not on the server stays.`,
		Example: "  entrepot export /mnt/usb\n  entrepot export --latest --no-images cloud/dmp ./release\n  entrepot export cloud/dmp/ms-ingestion@cloud.prod .",
		Args:    takes(1, -1),
	}
	e.client = a.clientFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&e.noImages, "no-images", false, "leave image.tar out")
	f.BoolVar(&e.latest, "latest", false, "only the latest version of each component that is known good")
	f.BoolVarP(&quiet, "quiet", "q", false, "say nothing but what goes wrong")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		what, err := e.parse(cmd, args[:len(args)-1])
		if err != nil {
			return err
		}
		if e.say = a.stderr; quiet {
			e.say = io.Discard
		}
		dir := args[len(args)-1]
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return explain(err, "export to %s", printable(dir))
		}
		if e.root, err = os.OpenRoot(dir); err != nil {
			return explain(err, "export to %s", printable(dir))
		}
		defer e.root.Close()
		for _, one := range what {
			if err := e.export(cmd.Context(), one); err != nil {
				return explain(err, "export %s to %s", one, printable(dir))
			}
		}
		if e.failed > 0 {
			return fmt.Errorf("export to %s: %d could not be exported; run it again to try only those", printable(dir), e.failed)
		}
		if !quiet {
			fmt.Fprintf(a.stdout, "exported to %s: %s\n", printable(dir), e.done)
		}
		return nil
	}
	return cmd
}

// exported is what is to be exported: a component, perhaps one version of it, or all components below a folder.
type exported struct {
	componentRef
	folder string // components, components/cloud or components/cloud/dmp; empty if it is one component
}

func (x exported) String() string {
	if x.folder != "" {
		return cmp.Or(strings.TrimPrefix(strings.TrimPrefix(x.folder, "components"), "/"), "all components") + " of " + x.server
	}
	return x.componentRef.String()
}

// parse reads the arguments before the folder.
func (e *exporter) parse(cmd *cobra.Command, args []string) (all []exported, err error) {
	server := e.client.server()
	if len(args) == 0 {
		return []exported{{componentRef{server: server}, "components"}}, nil
	}
	for _, arg := range args {
		host, name := splitHost(arg, server)
		name = strings.Trim(strings.TrimPrefix(name+"/", "components/"), "/")
		if strings.Count(name, "/") < 2 && (name == "" || registry.ValidName(name)) {
			all = append(all, exported{componentRef{server: host}, path.Join("components", name)})
			continue
		}
		one, err := parseComponent(arg, server)
		if err == nil && one.ref != "" && e.latest {
			err = fmt.Errorf("%s names a version, and --latest another", printable(arg))
		}
		if err != nil {
			return nil, misuse(cmd, "%v", err)
		}
		all = append(all, exported{one, ""})
	}
	return all, nil
}

// exporter copies the tree of a server into a folder.
type exporter struct {
	app              *app
	client           *client
	server           string
	root             *os.Root // no name leads out of it, whatever the server calls things
	say              io.Writer
	noImages, latest bool
	done             tally
	failed           int
}

// tally counts what was done.
type tally struct {
	files, there int   // there: of these, so many were there already
	bytes        int64 // fetched
}

func (t tally) String() string {
	s := fmt.Sprintf("%d files, %s fetched", t.files, humanSize(t.bytes))
	if t.there > 0 {
		s += fmt.Sprintf(", %d were there", t.there)
	}
	return s
}

func (t tally) since(before tally) tally {
	return tally{t.files - before.files, t.there - before.there, t.bytes - before.bytes}
}

// export exports one thing that was asked for.
func (e *exporter) export(ctx context.Context, x exported) error {
	if e.server = x.server; x.folder != "" {
		return e.folder(ctx, x.folder)
	}
	ref := ""
	if x.ref != "" {
		number, err := e.client.number(ctx, x.componentRef)
		if err != nil {
			return err
		}
		if ref = number; !safeName(ref) {
			return fmt.Errorf("the server says that this is version %q, which is none", ref)
		}
	}
	// Who answers for the component stands in the folder above.
	above := path.Join("components", path.Dir(x.name))
	err := e.list(ctx, above, func(entry tree.Entry) error {
		if entry.Type == tree.Dir {
			return nil
		}
		return e.file(ctx, above, entry)
	})
	if err != nil {
		return err
	}
	return e.component(ctx, x.name, ref)
}

// folder exports a folder above components, and what is below it.
func (e *exporter) folder(ctx context.Context, dir string) error {
	return e.list(ctx, dir, func(entry tree.Entry) error {
		switch inner := path.Join(dir, entry.Name); {
		case entry.Type != tree.Dir:
			return e.file(ctx, dir, entry)
		case strings.Count(inner, "/") == 3:
			return e.pass(inner, e.component(ctx, strings.TrimPrefix(inner, "components/"), ""))
		default:
			return e.pass(inner, e.folder(ctx, inner))
		}
	})
}

// component exports the versions of a component, or only one.
func (e *exporter) component(ctx context.Context, name, only string) error {
	dir := path.Join("components", name, "versions")
	found := false
	version := func(number string) error {
		found = true
		before := e.done
		if err := e.inVersion(ctx, path.Join(dir, number), 0); err != nil {
			return err
		}
		fmt.Fprintf(e.say, "%s %s: %s\n", printable(name), printable(number), e.done.since(before))
		return nil
	}
	if only != "" {
		return version(only)
	}
	err := e.listAll(ctx, dir, func(l tree.Listing, entry tree.Entry) error {
		if entry.Type != tree.Dir || e.latest && entry.Name != l.Latest {
			return nil
		}
		return e.pass(path.Join(dir, entry.Name), version(entry.Name))
	})
	if err == nil && e.latest && !found {
		fmt.Fprintf(e.say, "%s: nothing, since no version is known good\n", printable(name))
	}
	return err
}

// deepest is how many folders a version may have in one another: a server could have more and more of them.
const deepest = 12

// inVersion exports what is in a version's folder.
func (e *exporter) inVersion(ctx context.Context, dir string, depth int) error {
	if depth > deepest {
		return e.miss(dir, contentError("the server has too many folders in one another"))
	}
	return e.list(ctx, dir, func(entry tree.Entry) error {
		switch {
		case entry.Type == tree.Dir:
			inner := path.Join(dir, entry.Name)
			return e.pass(inner, e.inVersion(ctx, inner, depth+1))
		case entry.Name == "image.tar" && e.noImages:
			return nil
		}
		return e.file(ctx, dir, entry)
	})
}

// file exports a file. What is wrong with it alone is told, and the export goes on.
func (e *exporter) file(ctx context.Context, dir string, entry tree.Entry) error {
	name := path.Join(dir, entry.Name)
	there, err := e.has(name, entry)
	if err == nil && !there {
		var n int64
		err = again(ctx, func() (err error) {
			n, err = e.fetch(ctx, name, entry)
			return err
		})
		e.done.bytes += n
	}
	switch {
	case err != nil:
		return e.miss(name, err)
	case there:
		e.done.there++
	}
	e.done.files++
	return nil
}

// pass is miss for what may have gone well.
func (e *exporter) pass(name string, err error) error {
	if err == nil {
		return nil
	}
	return e.miss(name, err)
}

// contentError is a fault of what a server has, not of the way there.
type contentError string

func (c contentError) Error() string { return string(c) }

// miss tells what could not be exported, if that is no reason to stop.
func (e *exporter) miss(name string, err error) error {
	var content contentError
	var answer *errcode.ErrorResponse
	refused := errors.As(err, &answer) && answer.StatusCode != http.StatusUnauthorized && answer.StatusCode != http.StatusTooManyRequests
	found := (*problem)(nil)
	if !errors.As(err, &found) {
		err = explain(err, "%s", printable(name))
	}
	if refused || errors.As(err, &content) {
		e.failed++
		fmt.Fprintf(e.app.stderr, "entrepot: %v\n", err)
		return nil
	}
	return err
}

// list calls each with what is in a folder of the server.
func (e *exporter) list(ctx context.Context, dir string, each func(tree.Entry) error) error {
	return e.listAll(ctx, dir, func(_ tree.Listing, entry tree.Entry) error { return each(entry) })
}

// listAll asks for a folder until its end. Names that could lead elsewhere are left out, and told.
func (e *exporter) listAll(ctx context.Context, dir string, each func(tree.Listing, tree.Entry) error) error {
	query := url.Values{"format": {"json"}}
	for range pageLimit {
		var l tree.Listing
		if err := e.ask(ctx, dir, query, &l); err != nil {
			return err
		}
		for _, entry := range l.Entries {
			var err error
			if safeName(entry.Name) {
				err = each(l, entry)
			} else {
				err = e.miss(dir, contentError(fmt.Sprintf("the server has something there called %q, which could lead elsewhere", entry.Name)))
			}
			if err != nil {
				return err
			}
		}
		if l.Next == "" {
			return nil
		}
		if l.Next == query.Get("after") {
			break
		}
		query.Set("after", l.Next)
	}
	return errors.New("the list does not end")
}

// safeName tells whether something may be called so in a folder, and be shown on a screen.
func safeName(name string) bool {
	return name != "" && len(name) <= 255 && name[0] != '.' && name == printable(name) && !strings.ContainsAny(name, `/\`) && filepath.IsLocal(name)
}

// address is where something is on the server; dir ends with a slash if it is a folder.
func (e *exporter) address(name string, query url.Values) string {
	u := url.URL{Path: "/tree/" + name, RawQuery: query.Encode()}
	return e.client.url(e.server, u.RequestURI())
}
