package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
)

func rmVerb(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "rm REF...",
		Short: "Delete tags, or manifests by digest",
		Long: `Delete tags, or manifests by digest.

A tag goes alone: what it named stays and is found by its digest, until it is deleted by that or a rule below retention: in the server's configuration
removes what has no tag. A manifest goes with every tag that names it, so --yes has to be said. A whole repository is never deleted.`,
		Example: "  entrepot rm cloud/app:pr-17\n  entrepot rm --yes cloud/app@sha256:…",
		Args:    takes(1, -1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "delete manifests too, with all their tags")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var refs []registry.Reference
		// All are judged before the first is deleted.
		for _, arg := range args {
			ref, err := parseReference(arg, c.server())
			switch {
			case err != nil:
				return misuse(cmd, "%v", err)
			case ref.Reference == "":
				return misuse(cmd, "%s names a whole repository; name a tag or a digest in it", printable(arg))
			case isDigest(ref) && !yes:
				return misuse(cmd, "%s goes with every tag that names it; add --yes to delete it", printable(arg))
			}
			refs = append(refs, ref)
		}
		for _, ref := range refs {
			if err := c.remove(cmd.Context(), ref); err != nil {
				return explain(err, "delete %s", ref)
			}
			fmt.Fprintf(a.stdout, "deleted %s\n", ref)
		}
		return nil
	}
	return cmd
}

// remove deletes a tag or a manifest. It asks by itself, since oras deletes by digest only.
func (c *client) remove(ctx context.Context, ref registry.Reference) error {
	ctx = auth.AppendRepositoryScope(ctx, ref, auth.ActionDelete)
	res, err := c.do(ctx, http.MethodDelete, c.url(ref.Host(), "/v2/"+ref.Repository+"/manifests/"+ref.Reference))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted && res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNoContent {
		return refusal(res)
	}
	return nil
}
