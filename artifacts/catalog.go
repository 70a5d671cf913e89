package artifacts

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// Config is what a catalog stands on.
type Config struct {
	Index kv.DB            // the registry's own
	Log   *slog.Logger     // default: none
	Now   func() time.Time // default time.Now

	Rules          map[string]Level // how grave rules are, where that is not the default
	StaleBuild     time.Duration    // a build that is pushed later than so long after it was made is stale; 0: none is
	BaseImages     []string         // those that may be built on, with * for parts; none: any
	RequiredLabels []string         // that every manifest.yaml has
	Last           []string         // the environments where promotions take more rights than elsewhere; default prod

	Keys     *suite.Keys   // those that sign apt suites; nil: there are none
	ValidFor time.Duration // for how long hosts take a snapshot of a suite; 0 is for ever
}

// Catalog knows the components: which versions there are, in which formats, of what content. It takes part in every push and delete of a component
// ([registry.Admission]), so that what it knows and what is stored can never disagree.
type Catalog struct {
	index kv.DB
	log   *slog.Logger
	now   func() time.Time

	rules          map[string]Level
	staleBuild     time.Duration
	baseImages     []string
	requiredLabels []string
	last           []string
	keys           *suite.Keys
	validFor       time.Duration
	registry       *registry.Registry // once it is open, see Prepare
	publishers     publishers
	due            chan struct{} // some suite is to be published again
	parser         document.Parser
}

var _ registry.Admission = (*Catalog)(nil)

// New returns the catalog of an index. Before it is used, the registry that it takes part in must be open, and Prepare called.
func New(c Config) *Catalog {
	k := &Catalog{
		index: c.Index, log: c.Log, now: c.Now,
		rules: c.Rules, staleBuild: c.StaleBuild, baseImages: c.BaseImages, requiredLabels: c.RequiredLabels, last: c.Last,
		keys: c.Keys, validFor: c.ValidFor, due: make(chan struct{}, 1),
		parser: document.Parser{Dependency: checkDependency, Rule: KnownRule},
	}
	if k.last == nil {
		k.last = []string{"prod"}
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	if k.now == nil {
		k.now = time.Now
	}
	return k
}

// checkDependency tells what is wrong with an entry of metadata.dependencies.
func checkDependency(text string) error {
	_, _, err := version.ParseDependency(text)
	return err
}

// Component returns a component, or ErrUnknown.
func (k *Catalog) Component(ctx context.Context, name string) (Component, error) {
	return read[Component](ctx, k.index, keyComponent(name))
}

// Components yields the components after the given name, in byte order.
func (k *Catalog) Components(ctx context.Context, after string) iter.Seq2[Component, error] {
	return list[Component](ctx, k.index, prefixComponent, after)
}

// Version returns a version of a component, or ErrUnknown. The version is written as SemVer does, without v.
func (k *Catalog) Version(ctx context.Context, name, version string) (Version, error) {
	return read[Version](ctx, k.index, keyVersion(name, version))
}

// Versions yields the versions of a component, in byte order of their texts.
func (k *Catalog) Versions(ctx context.Context, name string) iter.Seq2[Version, error] {
	return list[Version](ctx, k.index, prefixVersion+name+"!", "")
}

// Commit yields what was built from a commit: the versions whose revision begins with these characters.
func (k *Catalog) Commit(ctx context.Context, sha string) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		from, to := kv.Prefix(prefixCommit + sha)
		for row, err := range k.index.Scan(ctx, from, to) {
			var v Version
			if err == nil {
				v, err = read[Version](ctx, k.index, string(row.Value))
			}
			if errors.Is(err, ErrUnknown) {
				continue // it was deleted meanwhile
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

func list[Row any](ctx context.Context, v kv.View, prefix, after string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		from, to := kv.Prefix(prefix)
		if after != "" {
			from = prefix + after + "\x00"
		}
		for pair, err := range v.Scan(ctx, from, to) {
			var row Row
			if err == nil {
				row, err = decode[Row](pair)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}
