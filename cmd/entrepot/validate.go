package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/document"
)

// verdict is what was found out about a document.
type verdict struct {
	File     string              `json:"file"`
	Kind     document.Kind       `json:"kind"`
	Valid    bool                `json:"valid"` // nothing is denied
	Findings []artifacts.Finding `json:"findings"`
}

// validateFlags are the flags of validate.
type validateFlags struct {
	output, kind, component, version, format, place string
	offline                                         bool
}

func validateVerb(a *app) *cobra.Command {
	var v validateFlags
	cmd := &cobra.Command{
		Use:   "validate FILE…",
		Short: "Say all that is wrong with documents, without putting them anywhere",
		Long: `Say all that is wrong with documents, without putting them anywhere: FILE:LINE:COLUMN: LEVEL: FIELD: PROBLEM; WHAT TO DO. The exit status is 1
if anything would be denied, and 0 if there are warnings alone.

The name of a file says which document it is: manifest.yaml, metadata.yaml, ownership.yaml, policy.yaml, components.yaml or domain-….yaml; - is
standard input, whose kind --kind says. The server compares it with what it is about, which --component, --version, --format and --place say, or
the file's path: …/components/DOMAIN/GROUP/SERVICE/versions/VERSION/FORMAT/manifest.yaml. With --offline nothing is asked, and the document is
judged by itself.`,
		Example: `  entrepot validate manifest.yaml metadata.yaml --component cloud/dmp/ms-ingestion --version 1.0.3
  entrepot validate --offline $(git ls-files 'components/**/*.yaml')
  entrepot validate domain-cloud-prod.yaml`,
		Args: takes(1, -1),
	}
	c := a.clientFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&v.offline, "offline", false, "judge it by itself, without a server")
	f.StringVar(&v.kind, "kind", "", "what it is, whatever its name says: "+kindNames())
	f.StringVar(&v.component, "component", "", "the component that it is about")
	f.StringVar(&v.version, "version", "", "the version that it is about")
	f.StringVar(&v.format, "format", "", "the format that a manifest.yaml is about: docker, deb or generic")
	f.StringVar(&v.place, "place", "", "the place that a domain's file is about, such as cloud.prod")
	formatFlag(cmd, &v.output)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server, q, err := v.about(c.server())
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		for _, file := range args {
			if _, err := v.kindOf(file); err != nil {
				return misuse(cmd, "%v", err)
			}
		}
		all := []verdict{}
		valid := true
		err = a.each(cmd.Context(), args, func(file string) error {
			one, err := a.validate(cmd.Context(), c, server, file, q, v)
			if err != nil {
				return err
			}
			valid = valid && one.Valid
			all = append(all, one)
			if v.output == asTable {
				a.tell(one)
			}
			return nil
		})
		if v.output != asTable {
			if printed := a.printAs(v.output, all); printed != nil {
				return printed
			}
		}
		if err == nil && !valid {
			return errAnswered
		}
		return err
	}
	return cmd
}

func kindNames() string {
	var names []string
	for _, k := range document.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// tell says what is wrong with a document, as compilers do, or that nothing is.
func (a *app) tell(v verdict) {
	for _, f := range v.Findings {
		fmt.Fprintln(a.stdout, oneLine(findingLine(f)))
	}
	if len(v.Findings) == 0 {
		fmt.Fprintf(a.stdout, "%s: nothing is wrong\n", printable(v.File))
	}
}

// kindOf is the kind that was said, or the one of the file's name.
func (v validateFlags) kindOf(file string) (document.Kind, error) {
	if v.kind != "" {
		if kind := document.Kind(v.kind); slices.Contains(document.Kinds(), kind) {
			return kind, nil
		}
		return "", fmt.Errorf("--kind %q is none of %s", v.kind, kindNames())
	}
	if file == "-" {
		return "", errors.New("standard input has no name; say what it is with --kind")
	}
	if kind, ok := document.KindOf(filepath.ToSlash(file)); ok {
		return kind, nil
	}
	return "", fmt.Errorf("the name of %s is that of no document; name it manifest.yaml, metadata.yaml, ownership.yaml, policy.yaml, components.yaml or "+
		"domain-….yaml, or say what it is with --kind", printable(file))
}

// about is what the flags say that a document is about, and the server to ask.
func (v validateFlags) about(server string) (string, url.Values, error) {
	q := url.Values{}
	if v.component != "" {
		r, err := parseComponentAlone(v.component, server)
		if err != nil {
			return "", nil, fmt.Errorf("--component: %w", err)
		}
		server = r.server
		q.Set("component", r.name)
	}
	if v.version != "" {
		number, ok := versionNumber(v.version)
		if !ok {
			return "", nil, fmt.Errorf("--version: %s is no version; write it as 1.0.2", printable(v.version))
		}
		q.Set("version", number)
	}
	if err := checkFormat(v.format); err != nil {
		return "", nil, err
	}
	if v.format != "" {
		q.Set("format", v.format)
	}
	if v.place != "" {
		place, err := artifacts.ParsePlace(v.place)
		if err != nil {
			return "", nil, fmt.Errorf("--place: %w", err)
		}
		q.Set("place", place.Tag())
	}
	return server, q, nil
}

// validate judges one file, by itself or by what the server knows.
func (a *app) validate(ctx context.Context, c *client, server, file string, said url.Values, v validateFlags) (one verdict, err error) {
	kind, err := v.kindOf(file)
	if err != nil {
		return one, err
	}
	var text []byte
	if file == "-" {
		text, err = readDocumentFrom(a.stdin, kind)
	} else {
		text, err = readDocument(file, kind)
	}
	if err != nil {
		return one, explain(err, "validate %s", printable(file))
	}
	one = verdict{File: file, Kind: kind, Valid: true}
	if v.offline {
		one.Findings = judgeAlone(kind, text)
	} else if one.Findings, err = c.validate(ctx, server, kind, text, aboutFile(file, said)); err != nil {
		err = explainAll(err, "validate %s", printable(file))
		if errors.As(err, new(*url.Error)) {
			err = fmt.Errorf("%w; or judge it without a server, with --offline", err)
		}
		return one, err
	}
	for i := range one.Findings {
		f := &one.Findings[i]
		f.File, f.Line, f.Column = file, max(f.Line, 1), max(f.Column, 1)
		one.Valid = one.Valid && f.Level != artifacts.Deny
	}
	return one, nil
}

// validate asks the server what is wrong with a document.
func (c *client) validate(ctx context.Context, server string, kind document.Kind, text []byte, q url.Values) ([]artifacts.Finding, error) {
	found := verdict{}
	err := c.exchange(ctx, http.MethodPost, server, componentsAPI+"/validate/"+string(kind), q, "application/yaml", text, func(res *http.Response) error {
		return readJSON(io.LimitReader(res.Body, answerLimit), &found)
	})
	if d, ok := detailOf(err); ok && isStatus(err, http.StatusUnprocessableEntity) && len(d.Findings) > 0 {
		return d.Findings, nil
	}
	return append([]artifacts.Finding{}, found.Findings...), err
}
