// Command entrepot is an OCI registry and the client that goes with it, in one binary.
//
//	entrepot serve                              # a registry on 127.0.0.1:5000, with everything under ./data
//	entrepot cp oci:./build:1.0 cloud/app:1.0   # copy an image into it
//	entrepot tree cloud/app:1.0                 # what it is made of and what refers to it
//
// Each verb has a file of its own. The verbs that look at a registry speak plain HTTP to it, so they work with any registry that
// follows the OCI distribution spec; what the server does is left to the packages that this command wires together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// verbs are what `entrepot` can do, in the order of its help.
var verbs = []func(*app) *cobra.Command{
	serveVerb,
	verifyVerb,
	scrubVerb,
	importVerb,
	reindexVerb,
	backupVerb,
	restoreVerb,
	migrateVerb,
	lsVerb,
	tagsVerb,
	inspectVerb,
	treeVerb,
	cpVerb,
	rmVerb,
	componentsVerb,
	versionsVerb,
	showVerb,
	latestVerb,
	resolveVerb,
	promoteVerb,
	rollbackVerb,
	withdrawVerb,
	historyVerb,
	placesVerb,
	depsVerb,
	rdepsVerb,
	findingsVerb,
	commitVerb,
	documentVerb,
	validateVerb,
	pushVerb,
	debVerb,
	exportVerb,
	indexVerb,
	mirrorVerb,
	gcVerb,
	quotaVerb,
	retentionVerb,
	auditVerb,
	loginVerb,
	logoutVerb,
	userVerb,
	robotVerb,
	grantVerb,
	tokenVerb,
	authVerb,
	credentialProviderVerb,
	dockerCredentialVerb,
	configVerb,
	versionVerb,
	manVerb,
}

// app is what a verb may know of the world around it.
type app struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	environ []string
}

// getenv returns the last value given to a variable, as the shell would.
func (a *app) getenv(name string) string {
	for i := len(a.environ) - 1; i >= 0; i-- {
		if key, value, ok := strings.Cut(a.environ[i], "="); ok && key == name {
			return value
		}
	}
	return ""
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks the verb to finish in order; giving the signals back lets a second one end it at once.
	context.AfterFunc(ctx, stop)
	args := os.Args[1:]
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == helperName {
		args = append([]string{"docker-credential"}, args...)
	}
	os.Exit(run(ctx, args, os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// run runs one verb and returns the exit status: 0 when it did what was asked, 1 when it could not, 2 when it was not asked properly.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, environ: environ}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, errAnswered) {
		return 1
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	fmt.Fprintln(stderr, "entrepot: "+err.Error())
	if errors.As(err, new(usageError)) {
		return 2
	}
	return 1
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "entrepot",
		Short: "An OCI registry in one binary, and the client that goes with it",
		Long: `entrepot is an OCI registry in one binary, and the client that goes with it.

A reference is HOST[:PORT]/REPOSITORY[:TAG|@DIGEST]. Without a host it names something on the server given by --server, by the
variable ENTREPOT_SERVER, or on 127.0.0.1:5000. Credentials are those of entrepot login and docker login, which are the same, or for the
server in ENTREPOT_SERVER those in ENTREPOT_ROBOT and ENTREPOT_SECRET, or a job's token in ENTREPOT_ID_TOKEN.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	group(root)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return misuse(cmd, "%v", err) })
	for _, verb := range verbs {
		root.AddCommand(verb(a))
	}
	return root
}

// group makes cmd a verb that only has sub-verbs: alone it prints its help, and with an unknown one it names the nearest.
func group(cmd *cobra.Command) {
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return misuse(cmd, "unknown verb %q; did you mean %s?", args[0], strings.Join(near, " or "))
		}
		return misuse(cmd, "unknown verb %q", args[0])
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// errAnswered is returned by a verb whose standard output has said everything but the exit status.
var errAnswered = errors.New("the answer was no")

// usageError says that the command line itself is wrong.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func misuse(cmd *cobra.Command, format string, args ...any) error {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
	if verb := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()); verb != "" {
		text = strings.TrimSpace(verb) + ": " + text
	}
	return usageError{text + "; see " + cmd.CommandPath() + " --help"}
}

// takes lets a verb have between least and most arguments (most < 0: any number) and otherwise repeats how it is called.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || (most >= 0 && len(args) > most) {
			return misuse(cmd, "called with %d arguments, but it is %q", len(args), cmd.UseLine())
		}
		return nil
	}
}

// outputFlag adds -o, whose only other form is JSON for programs.
func outputFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVarP(into, "output", "o", "text", "how to print: text or json")
	check := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if *into != "text" && *into != "json" {
			return misuse(cmd, "--output %q is neither text nor json", *into)
		}
		if check != nil {
			return check(cmd, args)
		}
		return nil
	}
}
