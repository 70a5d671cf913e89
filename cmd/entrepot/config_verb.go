package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// configFlag adds --config. Verbs that read a configuration pass its value to loadConfig.
func configFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "config", "", "the configuration file (otherwise the one named by "+envConfig+", otherwise none)")
}

func configVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check, print or begin a configuration",
	}
	group(cmd)
	cmd.AddCommand(a.configCheck(), a.configPrint(), a.configExample(), a.configClients())
	return cmd
}

func (a *app) configCheck() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say everything that is wrong with a configuration",
		Long: `Say everything that is wrong with a configuration: the file's keys and values, and those of the environment.

Nothing is opened but the file itself, so a configuration can be checked on another machine than the one it is for.`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if path != "" {
					return misuse(cmd, "both %s and --config name a file", args[0])
				}
				path = args[0]
			}
			if path == "" {
				path = a.getenv(envConfig)
			}
			if _, err := loadConfig(path, a.environ); err != nil {
				return err
			}
			if path == "" {
				path = "the defaults and the environment"
			}
			_, err := fmt.Fprintf(a.stdout, "%s: good\n", path)
			return err
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func (a *app) configPrint() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the configuration that serve would run with, passwords hidden",
		Args:  takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			c, err := loadConfig(path, a.environ)
			if err != nil {
				return err
			}
			return writeConfig(a.stdout, c)
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func (a *app) configExample() *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "Print a configuration with every key, its meaning and its default",
		Args:  takes(0, 0),
		RunE:  func(*cobra.Command, []string) error { return writeExample(a.stdout) },
	}
}
