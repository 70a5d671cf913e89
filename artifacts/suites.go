package artifacts

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts/deb"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/kv"
)

// pooled is a Debian package of a version.
type pooled struct {
	File
	Control string `json:"control"` // the paragraph of its control file, verbatim
}

// poolPath is where a suite has a package, below the base URI.
func poolPath(component, file string) string { return "pool/" + component + "/" + file }

// pool keeps the packages of a version by the names of their files. One name is the same file for ever.
func (k *Catalog) pool(ctx context.Context, tx kv.Tx, v Version, seen sighting) error {
	for _, f := range seen.files {
		if f.Package == nil {
			continue
		}
		from, to := kv.Prefix(prefixPool + v.Component + "!" + f.Name + "!")
		for pair, err := range tx.Scan(ctx, from, to) {
			if err != nil {
				return err
			}
			other, err := decode[pooled](pair)
			if err != nil {
				return err
			}
			if other.Digest != f.Digest {
				number := pair.Key[strings.LastIndexByte(pair.Key, '!')+1:]
				return &registry.Error{Code: registry.Denied, Detail: map[string]string{"name": v.Component, "file": f.Name, "version": number,
					"hint": fmt.Sprintf("version %s has a package %s %s for %s with other bytes; hosts that have the one would never get the other: give this one a new version",
						number, f.Package.Name, f.Package.Version, f.Package.Architecture)}}
			}
		}
		if err := write(tx, keyPool(v.Component, f.Name, v.Version), pooled{f, seen.packages[f.Digest].Control}); err != nil {
			return err
		}
	}
	return nil
}

// Pooled returns a Debian package of a component by the name of its file, or ErrUnknown.
func (k *Catalog) Pooled(ctx context.Context, component, file string) (File, error) {
	p, err := inPool(ctx, k.index, component, file)
	return p.File, err
}

func inPool(ctx context.Context, v kv.View, component, file string) (pooled, error) {
	if strings.Contains(file, "!") {
		return pooled{}, ErrUnknown
	}
	for p, err := range list[pooled](ctx, v, prefixPool+component+"!"+file+"!", "") {
		return p, err
	}
	return pooled{}, ErrUnknown
}

// suiteRow is a suite as it is published.
type suiteRow struct {
	Serial   int64  `json:"serial"` // counts its snapshots
	Place    Place  `json:"place"`
	Snapshot int64  `json:"snapshot"` // the date of the one that is published, in seconds
	Rule     string `json:"rule"`     // the fingerprint of what it was made by, besides packages: keys, for how long it is valid
}

// snapshotRow is one of its snapshots.
type snapshotRow struct {
	suite.Snapshot
	Manifest digest.Digest `json:"manifest"` // by which its files are held
}

// SuiteRepo is the repository that holds the files of a suite as blobs.
func SuiteRepo(name string) string { return suiteRepos + name }

const suiteRepos = "apt/"

// Suites returns the names of the suites, sorted.
func (k *Catalog) Suites(ctx context.Context) ([]string, error) {
	var all []string
	from, to := kv.Prefix(prefixSuite)
	for pair, err := range k.index.Scan(ctx, from, to) {
		if err != nil {
			return nil, err
		}
		all = append(all, strings.TrimPrefix(pair.Key, prefixSuite))
	}
	return all, nil
}

// Suite returns a suite as it is published now, without the contents of its files, or ErrUnknown.
func (k *Catalog) Suite(ctx context.Context, name string) (suite.Snapshot, error) {
	_, s, err := readSuite(ctx, k.index, name)
	return s.Snapshot, err
}

// readSuite reads a suite and its snapshot. A DB may switch in between, and drop the older one later: that is tried again.
func readSuite(ctx context.Context, v kv.View, name string) (row suiteRow, s snapshotRow, err error) {
	for range 3 {
		if row, err = read[suiteRow](ctx, v, keySuite(name)); err != nil {
			return row, s, err
		}
		if s, err = read[snapshotRow](ctx, v, keySnapshot(name, time.Unix(row.Snapshot, 0))); !errors.Is(err, ErrUnknown) {
			break
		}
	}
	return row, s, err
}

// SuiteAt returns the snapshot of a suite that has this date, or ErrUnknown.
func (k *Catalog) SuiteAt(ctx context.Context, name string, date time.Time) (suite.Snapshot, error) {
	s, err := read[snapshotRow](ctx, k.index, keySnapshot(name, date))
	return s.Snapshot, err
}

// Snapshots yields the dates of the snapshots of a suite that are kept, the oldest first.
func (k *Catalog) Snapshots(ctx context.Context, name string) iter.Seq2[time.Time, error] {
	return func(yield func(time.Time, error) bool) {
		prefix := prefixSnapshot + name + "!"
		from, to := kv.Prefix(prefix)
		for pair, err := range k.index.Scan(ctx, from, to) {
			var seconds int64
			if err == nil {
				seconds, err = strconv.ParseInt(strings.TrimPrefix(pair.Key, prefix), 16, 64)
			}
			if !yield(time.Unix(seconds, 0).UTC(), err) || err != nil {
				return
			}
		}
	}
}

func snapshots(ctx context.Context, v kv.View, name string) iter.Seq2[snapshotRow, error] {
	return list[snapshotRow](ctx, v, prefixSnapshot+name+"!", "")
}

// SuiteHash tells the size of a file of a suite, by its hash, if a snapshot that is kept has it, or ErrUnknown.
func (k *Catalog) SuiteHash(ctx context.Context, name, hash string) (int64, error) {
	info, err := k.registry.Blob(ctx, SuiteRepo(name), digest.NewDigestFromEncoded(digest.SHA256, hash))
	if registry.Code(err) == registry.BlobUnknown || registry.Code(err) == registry.NameUnknown || registry.Code(err) == registry.DigestInvalid {
		return 0, ErrUnknown
	}
	return info.Size, err
}

// InSuite tells whether a suite lists a package file of a component, or did once: hosts fetch what they read of earlier.
func (k *Catalog) InSuite(ctx context.Context, name, component, file string) (bool, error) {
	row, err := read[suiteRow](ctx, k.index, keySuite(name))
	if errors.Is(err, ErrUnknown) || strings.Contains(file, "!") {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	versions := map[string]bool{}
	prefix := keyPool(component, file, "")
	from, to := kv.Prefix(prefix)
	for pair, err := range k.index.Scan(ctx, from, to) {
		if err != nil {
			return false, err
		}
		versions[strings.TrimPrefix(pair.Key, prefix)] = true
	}
	if len(versions) == 0 {
		return false, nil
	}
	for m, err := range k.Moves(ctx, MoveQuery{Component: component, Place: &row.Place}) {
		if err != nil {
			return false, err
		}
		if versions[m.To] {
			return true, nil
		}
	}
	return false, nil
}

// packagesOf returns what a suite lists of a component: the packages of the version that is deployed, and those of the versions before as far as they rank
// below: a host installs the newest that it finds, and that must be the one that is deployed.
func packagesOf(ctx context.Context, v kv.View, d Deployed) (all []suite.Package, err error) {
	newest := map[string]deb.Version{} // by package and architecture
	for i, number := range append([]string{d.Version}, d.Former...) {
		of, err := read[Version](ctx, v, keyVersion(d.Component, number))
		if errors.Is(err, ErrUnknown) {
			continue // it was deleted
		}
		if err != nil {
			return nil, err
		}
		for _, f := range of.Formats[Deb].Files {
			if f.Package == nil {
				continue
			}
			rank, err := deb.ParseVersion(f.Package.Version)
			if err != nil {
				continue // it was looked at when it came
			}
			name := f.Package.Name + "!" + f.Package.Architecture
			if first, ok := newest[name]; i == 0 {
				newest[name] = rank
			} else if ok && rank.Compare(first) >= 0 || !ok {
				continue
			}
			p, err := inPool(ctx, v, d.Component, f.Name)
			if errors.Is(err, ErrUnknown) {
				continue // it is being deleted: see outdate
			}
			if err != nil {
				return nil, fmt.Errorf("package %s of %s %s: %w", f.Name, d.Component, number, err)
			}
			all = append(all, packageOf(d.Component, p))
		}
	}
	return all, nil
}

func packageOf(component string, p pooled) suite.Package {
	return suite.Package{
		Control: p.Control, Name: p.Package.Name, Version: p.Package.Version, Architecture: p.Package.Architecture,
		Component: strings.Split(component, "/")[1], Filename: poolPath(component, p.Name), Size: p.Size, SHA256: p.Digest.Encoded(),
	}
}

// changesSuite tells whether a move changes what a suite lists.
func (k *Catalog) changesSuite(ctx context.Context, v kv.View, o Order, j judgement) (bool, error) {
	if k.keys == nil {
		return false, nil
	}
	if _, ok := j.to.Formats[Deb]; ok {
		return true, nil
	}
	if j.was.Version == "" {
		return false, nil
	}
	listed, err := packagesOf(ctx, v, j.was)
	return len(listed) > 0, err
}
