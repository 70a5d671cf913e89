package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manVerb is for those who package entrepot; it is not in the help.
func manVerb(*app) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages into a folder",
		Hidden: true,
		Args:   takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("write manual pages: %w", err)
			}
			// The revision's date and no other: the same source gives the same pages.
			header := &doc.GenManHeader{Section: "1", Source: "entrepot", Manual: "entrepot manual", Date: &time.Time{}}
			if t, err := time.Parse(time.RFC3339, thisBuild().Time); err == nil {
				header.Date = &t
			}
			if err := doc.GenManTree(cmd.Root(), header, args[0]); err != nil {
				return fmt.Errorf("write manual pages to %s: %w", args[0], err)
			}
			return nil
		},
	}
}
