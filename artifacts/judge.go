package artifacts

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/storage/kv"
)

// judge compares a document with the version that it is about. It reads rows alone, so that it can do so within a transaction.
func (k *Catalog) judge(ctx context.Context, v kv.View, of Version, format Kind, d *paper) (all []Finding, denied bool, err error) {
	faults := slices.Clone(d.faults)
	switch doc := d.parsed.(type) {
	case *document.Manifest:
		more, err := k.judgeManifest(ctx, v, of, format, doc, d)
		if err != nil {
			return nil, false, err
		}
		faults = append(faults, more...)
	case *document.Metadata:
		more, err := k.judgeMetadata(ctx, v, of, doc, d)
		if err != nil {
			return nil, false, err
		}
		faults = append(faults, more...)
	}
	levels, err := k.levelsFor(ctx, v, of.Component)
	if err != nil {
		return nil, false, err
	}
	all, denied = levels.findings(d.file(), faults)
	return all, denied, nil
}

// clockSkew is how far the clocks of a builder and the registry may be apart.
const clockSkew = 5 * time.Minute

func (k *Catalog) judgeManifest(ctx context.Context, v kv.View, of Version, format Kind, m *document.Manifest, d *paper) (faults document.Faults, err error) {
	wrong := func(field, rule, problem, fix string) {
		faults = append(faults, m.Mismatch(field, "manifest."+rule, problem, fix))
	}
	f := of.Formats[format]
	if m.Format != "" && m.Format != string(format) {
		wrong("format", "format.mismatch", "is "+m.Format+", but what it is attached to is of format "+string(format), "write "+string(format))
	}
	if m.Version != "" && !sameVersion(m.Version, of.Version, f) {
		wrong("version", "version.mismatch", "is "+m.Version+", but the tag says "+of.Version, "write "+of.Version)
	}
	if m.SHA256 != "" && !f.has(m.SHA256) {
		wrong("sha256", "sha256.mismatch", "is not the digest of what it is attached to", "write "+f.expected())
	}
	now := k.now()
	if !d.pushed.IsZero() {
		now = d.pushed
	}
	if !m.BuiltAt.IsZero() {
		switch {
		case m.BuiltAt.After(now.Add(clockSkew)):
			wrong("built_at", "built_at.future", "is in the future", "write when it was built; is the builder's clock right?")
		case k.staleBuild > 0 && now.Sub(m.BuiltAt) > k.staleBuild:
			wrong("built_at", "built_at.stale", fmt.Sprintf("is %s ago", now.Sub(m.BuiltAt).Round(time.Hour)), fmt.Sprintf("build it again; builds are pushed within %s", k.staleBuild))
		}
		before, err := k.builtBefore(ctx, v, of, format)
		if err != nil {
			return nil, err
		}
		if m.BuiltAt.Before(before) {
			wrong("built_at", "built_at.order", "is before "+before.Format(time.RFC3339)+", when the version before was built", "build the newer version after the older one")
		}
	}
	if m.BaseImage != "" && len(k.baseImages) > 0 && !slices.ContainsFunc(k.baseImages, func(p string) bool { ok, _ := path.Match(p, m.BaseImage); return ok }) {
		wrong("base_image", "base_image.denied", m.BaseImage+" is none of the images that may be built on", "use one of "+strings.Join(k.baseImages, ", "))
	}
	for _, name := range slices.Sorted(keys(m.Labels)) {
		if has, found := f.Labels[name]; format == Docker && (!found || has != m.Labels[name]) {
			wrong("labels."+name, "labels.mismatch", fmt.Sprintf("is %q, but the image's label is %q", m.Labels[name], has), "write the image's own labels")
		}
	}
	for _, name := range k.requiredLabels {
		if m.Labels[name] == "" {
			wrong("labels", "labels.required.missing", "lacks "+name, "add "+name+": it is required here")
		}
	}
	return faults, nil
}

// has tells whether a digest is that of the format: its manifest's, or one of its files'.
func (f Format) has(d string) bool {
	return d == string(f.Digest) || slices.ContainsFunc(f.Files, func(f File) bool { return string(f.Digest) == d })
}

func (f Format) expected() string {
	if len(f.Files) > 0 {
		return string(f.Files[0].Digest)
	}
	return string(f.Digest)
}

// sameVersion tells whether a manifest.yaml names the version: as the tag does, or of a deb as the package does.
func sameVersion(written, number string, f Format) bool {
	if v, err := version.Parse(written); err == nil && v.String() == number {
		return true
	}
	return slices.ContainsFunc(f.Files, func(f File) bool { return f.Package != nil && f.Package.Version == written })
}

// builtBefore returns when the highest version below this one was built, in the same format.
func (k *Catalog) builtBefore(ctx context.Context, v kv.View, of Version, format Kind) (time.Time, error) {
	this, err := version.Parse(of.Version)
	if err != nil {
		return time.Time{}, nil
	}
	var highest version.Version
	prefix := prefixVersion + of.Component + "!"
	from, to := kv.Prefix(prefix)
	for pair, err := range v.Scan(ctx, from, to) {
		if err != nil {
			return time.Time{}, err
		}
		if other, err := version.Parse(strings.TrimPrefix(pair.Key, prefix)); err == nil && other.Compare(this) < 0 && other.Compare(highest) > 0 {
			highest = other
		}
	}
	if highest.Precision() == 0 {
		return time.Time{}, nil
	}
	row, err := read[Attached](ctx, v, keyDocument(of.Component, highest.String(), string(format)))
	if errors.Is(err, ErrUnknown) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	if m, _ := k.parser.Parse(document.KindManifest, []byte(row.Text)); m != nil {
		return m.(*document.Manifest).BuiltAt, nil
	}
	return time.Time{}, nil
}

func (k *Catalog) judgeMetadata(ctx context.Context, v kv.View, of Version, m *document.Metadata, d *paper) (faults document.Faults, err error) {
	wrong := func(field, rule, problem, fix string) {
		faults = append(faults, m.Mismatch(field, "metadata."+rule, problem, fix))
	}
	parts := strings.Split(of.Component, "/")
	if m.Group != "" && m.Group != parts[1] {
		wrong("group", "group.mismatch", "is "+m.Group+", but the repository is "+of.Component, "write "+parts[1])
	}
	if m.ServiceName != "" && m.ServiceName != parts[2] {
		wrong("service_name", "service_name.mismatch", "is "+m.ServiceName+", but the repository is "+of.Component, "write "+parts[2])
	}
	if is := of.architectures(); len(is) > 0 && len(m.Architecture) > 0 {
		said := make([]string, len(m.Architecture))
		for i, a := range m.Architecture {
			said[i] = string(a)
		}
		slices.Sort(said)
		if !slices.Equal(said, is) {
			wrong("architecture", "architecture.mismatch", "is "+strings.Join(said, ", ")+", but what was pushed is for "+strings.Join(is, ", "), "write ["+strings.Join(is, ", ")+"]")
		}
		if m.MultiArch != nil && *m.MultiArch != (len(is) > 1) {
			wrong("multi_arch", "multi_arch.mismatch", fmt.Sprintf("is %t, but what was pushed is for %d architectures", *m.MultiArch, len(is)), fmt.Sprintf("write %t", len(is) > 1))
		}
	}
	for i, port := range m.Ports {
		if exposed := of.Formats[Docker].Ports; len(exposed) > 0 && !slices.Contains(exposed, port) {
			wrong(fmt.Sprintf("port_exposed[%d]", i), "port_exposed.mismatch", fmt.Sprintf("is %d, which the image does not expose", port), fmt.Sprintf("write those of the image: %v", exposed))
		}
	}
	before, err := read[Attached](ctx, v, keyDocument(of.Component, of.Version, "metadata"))
	if errors.Is(err, ErrUnknown) {
		return faults, nil
	}
	if err == nil && before.Content != d.content {
		wrong("", "conflict", "says something else than the metadata.yaml that "+before.By+" attached to this version at "+before.Pushed.UTC().Format(time.RFC3339),
			"a version has one metadata.yaml; push a new version")
	}
	return faults, err
}

// architectures are those that a version was pushed for, sorted. Packages for all say nothing.
func (v Version) architectures() []string {
	var all []string
	add := func(name string) {
		if a, ok := document.ParseArchitecture(name); ok {
			all = append(all, string(a))
		}
	}
	for _, f := range v.Formats {
		for _, p := range f.Platforms {
			if _, arch, ok := strings.Cut(p, "/"); ok {
				add(arch)
			}
		}
		for _, file := range f.Files {
			if file.Package != nil && file.Package.Architecture != "all" {
				add(file.Package.Architecture)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func keys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
