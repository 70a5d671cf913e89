package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func pushVerb(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "push COMPONENT@VERSION FILE…",
		Short: "Push files as a version of a component",
		Long: `Push files as a version of a component. A version grows: files with new names are added to those that are there, and none ever changes.

Images are pushed with docker push or entrepot cp, and Debian packages with entrepot deb push. All files are tried; the exit status is 1 if one
failed.`,
		Example: "  entrepot push ran/cu/firmware@2.1.0 fw.bin fw.bin.sig",
		Args:    takes(2, -1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().StringVar(&format, "format", "", "what they are: generic or deb (otherwise generic)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, number, err := parseComponentVersion(args[0], c.server())
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		switch format {
		case "":
			if i := slices.IndexFunc(args[1:], isPackage); i >= 0 {
				return misuse(cmd, "%s is a Debian package: push it with entrepot deb push, or as a file like any other with --format generic", printable(args[1+i]))
			}
			format = "generic"
		case "generic", "deb":
		case "docker":
			return misuse(cmd, "an image is no file; push it with docker push or entrepot cp")
		default:
			return misuse(cmd, "--format %q is neither generic nor deb", format)
		}
		u := upload{client: c, app: a, ref: r, path: fmt.Sprintf("%s%s/%s/", componentsAPI, r.version(number), format), mediaType: "application/octet-stream"}
		return u.all(cmd.Context(), args[1:])
	}
	return cmd
}

func isPackage(file string) bool { return strings.HasSuffix(file, ".deb") }
