package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/importer"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// importOptions are the flags of import.
type importOptions struct {
	folder, from       string // one of them, or the bucket
	s3                 importBucket
	user, passwordFile string
	list               string
	repositories       []string
	renames            []string
	tags               []string
	tagged             bool
	overwrite          bool
	dryRun             bool
	config, data       string // of the registry that is moved into, where no host is named
}

func importVerb(a *app) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import (--from-folder DIR | --from-s3 s3://BUCKET/PREFIX | --from HOST) [HOST]",
		Short: "Move a whole registry over",
		Long: `Move a whole registry over: repositories, tags, manifests of all platforms with their bytes and digests, what refers to them, and blobs.

It comes from the data folder of a distribution registry (--from-folder: /var/lib/registry in the images registry:2 and registry:3), from the bucket in which
one keeps the same (--from-s3, with the rootdirectory of its s3 storage behind the bucket's name), or from any registry that follows the OCI distribution spec
(--from). Which repositories there are, a registry tells by its catalogue; where that is closed, as on Docker Hub and GitLab, and on Harbor for all but its
administrators, name them with --list.

The bucket is read as the AWS tools would: who asks, and in which region, is found in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE,
AWS_REGION, AWS_ENDPOINT_URL), in ~/.aws, or by the machine's role. s3:ListBucket and s3:GetObject are enough; nothing in it is changed.

It goes to HOST, a running registry, as a push of whoever is logged in there; or without HOST into the store of this machine's configuration (--config,
--data), whose server must be stopped, as a push of the system. There, files of the folder are not copied but get one more name, if both folders are on one
file system and the files belong to whoever runs this. The old folder may be deleted afterwards; until then nothing in it may be changed by hand. From a bucket
into a store on the same S3 server, content is read once to be judged, and the server copies it, if the store's own credentials may read it there.

Run it again at any time: what is here is not fetched again, so that a run that was broken off goes on, and a last one brings what was pushed meanwhile.
A tag that names something else here than there stays as it is and is reported, unless --overwrite lets the source win.

Names that are components (DOMAIN/GROUP/SERVICE) are judged as with every push, and what is refused is reported. To bring in a history that was not made
by the rules for documents, set those that it breaks to warn or off in artifacts.rules while you import. Tags that a component gets by itself (latest) or by
promotion (cloud.prod) do not come, whatever the rules; what they named is there by its digest, so promote what is deployed afterwards, or give such
repositories other names with --map. With anything that did not come, the exit status is 1.`,
		Example: `  entrepot import --from-folder /var/lib/registry --data /srv/entrepot
  entrepot import --from-folder /var/lib/registry --map 'library/** = hub/library/**' --dry-run
  entrepot import --from-s3 s3://old-bucket/registry --s3-region eu-central-1 --config entrepot.yml
  entrepot import --from-s3 s3://old-bucket --s3-endpoint https://s3.example.com --s3-path-style registry.example.com
  entrepot import --from harbor.example.com --repositories 'team/**' registry.example.com
  entrepot import --from registry.gitlab.example.com --list names.txt --tags 'v*' registry.example.com`,
		Args: takes(0, 1),
	}
	c := a.clientFlags(cmd)
	_ = cmd.Flags().MarkHidden("server") // HOST says it
	f := cmd.Flags()
	f.StringVar(&o.folder, "from-folder", "", "the data folder of a distribution registry")
	o.s3.flags(a, f)
	f.StringVar(&o.from, "from", "", "the registry to move out of: HOST[:PORT] or its URL")
	f.StringVar(&o.user, "from-user", "", "log in to --from as this user, and not as docker login or entrepot login did")
	f.StringVar(&o.passwordFile, "from-password-file", "", "with the password in this file")
	f.StringVar(&o.list, "list", "", "the names of its repositories, a line each, in this file (- is the standard input)")
	f.StringArrayVar(&o.repositories, "repositories", nil, "only these, as team/app, team/* or team/**; may be repeated")
	f.StringArrayVar(&o.renames, "map", nil, "names here, as 'library/** = hub/library/**'; may be repeated, and the first that fits counts")
	f.StringArrayVar(&o.tags, "tags", nil, "only tags like this, as v1.*, with what refers to them; may be repeated")
	f.BoolVar(&o.tagged, "tagged", false, "leave away what no tag leads to; from a folder or a bucket, that comes as well")
	f.BoolVar(&o.overwrite, "overwrite", false, "move tags that name something else here")
	f.BoolVar(&o.dryRun, "dry-run", false, "only tell what would come")
	storeFlags(a, cmd, &o.config, &o.data)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		plan, err := o.plan()
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		if len(args) == 1 && (o.data != "" || cmd.Flags().Changed("config")) {
			return misuse(cmd, "%s is reached over its API; --config and --data are for a store whose server is stopped", args[0])
		}
		source, err := a.importFrom(cmd.Context(), c, &o, &plan)
		if err != nil {
			return err
		}
		if closer, ok := plan.From.(io.Closer); ok {
			defer closer.Close()
		}
		if len(args) == 1 {
			return a.importOver(cmd.Context(), c, args[0], plan)
		}
		return a.importInto(cmd.Context(), &o, source, plan)
	}
	return cmd
}

// plan judges the flags.
func (o *importOptions) plan() (importer.Config, error) {
	c := importer.Config{
		Repositories: o.repositories, Tags: o.tags, Tagged: o.tagged, Overwrite: o.overwrite, DryRun: o.dryRun, Lanes: copiers, Passing: importPasses,
	}
	sources := 0
	for _, named := range []string{o.folder, o.s3.url, o.from} {
		if named != "" {
			sources++
		}
	}
	if sources != 1 {
		return c, errors.New("say where it comes from, with --from-folder, --from-s3 or --from")
	}
	if err := o.s3.check(); err != nil {
		return c, err
	}
	if o.from == "" && (o.list != "" || o.user != "" || o.passwordFile != "") {
		return c, errors.New("--list, --from-user and --from-password-file go with --from")
	}
	if (o.user == "") != (o.passwordFile == "") {
		return c, errors.New("--from-user and --from-password-file go together")
	}
	for _, p := range o.repositories {
		if err := importer.CheckPattern(p); err != nil {
			return c, fmt.Errorf("--repositories: %w", err)
		}
	}
	for _, p := range o.tags {
		if err := importer.CheckTags(p); err != nil {
			return c, fmt.Errorf("--tags %q: %w", p, err)
		}
	}
	for _, text := range o.renames {
		r, err := importer.ParseRename(text)
		if err != nil {
			return c, fmt.Errorf("--map: %w", err)
		}
		c.Renames = append(c.Renames, r)
	}
	return c, nil
}

// importFrom opens what is moved out of, and returns what the journal calls it.
func (a *app) importFrom(ctx context.Context, c *client, o *importOptions, plan *importer.Config) (string, error) {
	if o.folder != "" {
		folder, err := importer.OpenFolder(o.folder)
		if err != nil {
			return "", err
		}
		plan.From = folder
		return "folder:" + o.folder, nil
	}
	if o.s3.url != "" {
		folder, err := o.s3.open(ctx, a)
		if err != nil {
			return "", err
		}
		plan.From = folder
		return o.s3.url, nil
	}
	names, err := a.importNames(o.list)
	if err != nil {
		return "", err
	}
	from, err := newImportSource(c, o, names)
	if err != nil {
		return "", err
	}
	plan.From = from
	return "registry:" + from.host, nil
}

// namesLimit is the longest list of names, in bytes: a million of usual ones.
const namesLimit = 64 << 20

// importNames reads a list of repositories; nil is none.
func (a *app) importNames(file string) ([]string, error) {
	if file == "" {
		return nil, nil
	}
	in := a.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read --list: %w", err)
		}
		defer f.Close()
		in = f
	}
	names := []string{}
	limited := &io.LimitedReader{R: in, N: namesLimit + 1}
	lines := bufio.NewScanner(limited)
	for lines.Scan() {
		name := strings.TrimSpace(lines.Text())
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		if !registry.ValidName(name) {
			return nil, fmt.Errorf("read --list: %.100q is no name of a repository; write one a line, without a host and without a tag", name)
		}
		names = append(names, name)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read --list: %w", err)
	}
	if limited.N <= 0 {
		return nil, fmt.Errorf("read --list: it is longer than %s; take it in parts", humanSize(namesLimit))
	}
	if len(names) == 0 {
		return nil, errors.New("read --list: it names no repository")
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// importOver moves into a running registry.
func (a *app) importOver(ctx context.Context, c *client, to string, plan importer.Config) error {
	c.flag = to
	plan.To = &importTarget{c: c, host: c.server()}
	_, err := a.importRun(ctx, plan)
	return err
}

// importInto moves into the store of a server that is stopped.
func (a *app) importInto(ctx context.Context, o *importOptions, source string, plan importer.Config) (err error) {
	c, err := storeConfig(a, o.config, o.data)
	if err != nil {
		return err
	}
	log := newLog(c.Log, a.stderr)
	s, err := openStore(ctx, c, log)
	if err != nil {
		if errors.Is(err, kv.ErrBusy) {
			err = fmt.Errorf("%w; stop the server first, or name its host, by which it is reached while it runs", err)
		}
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	k, err := openComponents(c, s.index, (&authority{url: c.URL}).service(), log)
	if err != nil {
		return err
	}
	stands := s.registryConfig(c, log)
	stands.Admissions = append(stands.Admissions, k.catalog)
	to := &importer.Local{}
	if content, _, _ := c.paths(); c.Storage.S3.Bucket == "" {
		to.Links = importer.NewLinks(s.blobs, func(upload string) string { return filepath.Join(content, "uploads", upload) })
		stands.Blobs = to.Links
	} else if store, ok := s.blobs.(importer.Duplicator); ok && o.s3.url != "" {
		to.Copies = importer.NewCopies(store, log)
		stands.Blobs = to.Copies
	}
	if to.Registry, err = registry.Open(ctx, stands); err != nil {
		return err
	}
	if err := k.catalog.Prepare(ctx, to.Registry); err != nil {
		return err
	}
	plan.To = to
	ctx = journal.By(ctx, journal.Actor{Name: "system", Request: "import-" + time.Now().UTC().Format("20060102T150405Z")})
	report, err := a.importRun(ctx, plan)
	if !plan.DryRun && report.Repositories > 0 {
		err = errors.Join(err, importer.Note(context.WithoutCancel(ctx), s.index, source, report))
	}
	return err
}
