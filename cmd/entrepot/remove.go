package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// removes completes a verb that takes something away from a server. It is said in two words, how to ask for it and that it is done (remove, removed), and
// what comes behind them, up to the server's name: "robot ci-dmp from". From the arguments, which returns that and the path of the thing on the server.
func (a *app) removes(cmd *cobra.Command, ask, done string, which func(args []string) (path, thing string, err error)) *cobra.Command {
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, thing, err := which(args)
		if err != nil {
			return err
		}
		server := c.server()
		if err := c.call(cmd.Context(), http.MethodDelete, server, path, nil, nil); err != nil {
			return explain(err, "%s %s %s", ask, thing, server)
		}
		fmt.Fprintf(a.stdout, "%s %s %s\n", done, thing, server)
		return nil
	}
	return cmd
}
