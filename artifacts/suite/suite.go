// Package suite makes what an apt suite is made of: the lists of its packages, the Release that vouches for them, and the signatures under it.
//
//	keys, err := suite.OpenKeys(suite.KeysConfig{Index: db, Service: "registry.example.com"})
//	signers, err := keys.Signers(ctx)
//	next, err := suite.Build(suite.Suite{Name: "cloud-prod", Architectures: []string{"amd64"}}, packages, time.Now(), signers, before)
//	next.Files["InRelease"]                   // each file by its path below dists/cloud-prod
//	next.Find("dmp/binary-amd64/by-hash/…")   // by its hash, too
//	next.Hashes()                             // what [Prune] wants to know of it later
//
// The promises of [Build]:
//
//   - A snapshot is whole: Release tells the hash of every list in it, and InRelease and Release.gpg are signatures of that very Release. Whoever switches
//     from one snapshot to the next in one step, and keeps old lists under their hashes, never shows a client two halves.
//   - The same input gives the same bytes, signatures included, whether or not there is a snapshot before, and in whatever order the packages come.
//   - Only what changed is made again. A list that did not change keeps its files; of one that did, Packages.xz is compressed anew only around the change.
//   - What apt-get update took once it takes again: Date always rises, no component or architecture ever vanishes, and Origin, Label and the names stay.
//   - Every version of every package is listed. One package, version and architecture is one file, and nothing that a package says of itself can reach
//     beyond its own paragraph.
//
// [Keys] looks after the keys, [Setup] and [Pin] write what a host needs, and [Prune] says which old lists nobody can be reading any more.
//
// The package leaves to others where packages come from and who may read them, HTTP, and where files are kept. It knows the formats of Debian's
// repositories (the wiki page DebianRepository/Format, apt-secure(8), sources.list(5)) and of OpenPGP (RFC 4880, and EdDSA as gpg has it since 2.1).
package suite

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Package is one package in a suite.
type Package struct {
	// Control is the paragraph of its control file, verbatim. Fields of it that a repository writes itself are left out of the lists.
	Control string
	// Name, Version and Architecture are what Control says, too.
	Name, Version, Architecture string
	// Component is where it is listed, as dmp.
	Component string
	// Filename is the path of the .deb relative to the base URI, as pool/cloud/dmp/hello_1.0_amd64.deb, not escaped.
	Filename string
	// Size is that of the .deb, in bytes, and SHA256 its hash in lower-case hex.
	Size   int64
	SHA256 string
}

// Suite says what to make. Its Name, Origin and Label must never change once a host has seen them: apt refuses the suite then.
type Suite struct {
	// Name is the Suite and the Codename, as cloud-prod.
	Name string
	// Origin, Label and Description say whose and what it is, in a line each; empty ones are left out.
	Origin, Label, Description string
	// Components and Architectures are there even if no package is of them. There is at least one architecture, from here or from a package.
	Components, Architectures []string
	// ValidFor is for how long after its Date hosts take a snapshot; 0 is for ever. It is at least an hour: publish again when half of it is over.
	ValidFor time.Duration
}

// Snapshot is a suite at one time. It does not change.
type Snapshot struct {
	Suite string          `json:"suite"`
	Date  time.Time       `json:"date"`  // as Release has it, in whole seconds of UTC; it may be ahead of the clock
	Files map[string]File `json:"files"` // by their paths below dists/<suite>, without those of by-hash
}

// File is one file of a snapshot.
type File struct {
	SHA256  string `json:"sha256"` // in lower-case hex
	Size    int64  `json:"size"`
	Content []byte `json:"-"` // not to be changed; nil if the file is one of the snapshot before, whose content was not given
}

// The files that vouch for the others.
const (
	InRelease  = "InRelease"
	Release    = "Release"
	ReleaseGPG = "Release.gpg"
)

// Build makes the next snapshot of a suite. All faults of the suite and of its packages are errors that name them; see [Conflict].
//
// The date is that of now. Should the snapshot before not be older, the new one's Date is a second after that one's: apt passes over an older Release
// without a word. (Where Date is more than 10 seconds ahead of hosts' clocks they refuse it until then: worth a warning in the log.)
//
// before is the snapshot that hosts have now, or nil. Contents may be missing in it. A file that did not change is then returned without its content, too,
// and what did change is compressed as a whole; contents that do not have their hash are passed over.
func Build(s Suite, packages []Package, date time.Time, signers []Signer, before *Snapshot) (*Snapshot, error) {
	next, err := build(s, packages, date, signers, before)
	if err != nil {
		return nil, fmt.Errorf("build suite %.100q: %w", s.Name, err)
	}
	return next, nil
}

func build(s Suite, packages []Package, date time.Time, signers []Signer, before *Snapshot) (*Snapshot, error) {
	if before == nil {
		before = &Snapshot{Suite: s.Name}
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := s.follows(before); err != nil {
		return nil, err
	}
	entries, err := arrange(packages)
	if err != nil {
		return nil, err
	}
	next := &Snapshot{Suite: s.Name, Date: after(date, before), Files: map[string]File{}}
	components, architectures, err := s.axes(entries, before)
	if err != nil {
		return nil, err
	}
	for _, component := range components {
		for _, architecture := range architectures {
			if err := makeList(entries, component, architecture).write(next, before); err != nil {
				return nil, err
			}
		}
	}
	text := s.release(next, components, architectures)
	return next, next.sign(text, signers)
}

// put adds a file.
func (s *Snapshot) put(path string, content []byte) { s.Files[path] = newFile(content) }

// Find returns a file by its path below dists/<suite>, be it its own or that by its hash.
func (s *Snapshot) Find(name string) (File, bool) {
	hash, folder, ok := ByHash(name)
	if !ok {
		f, found := s.Files[name]
		return f, found
	}
	for name, f := range s.Files {
		if f.SHA256 == hash && path.Dir(name) == folder {
			return f, true
		}
	}
	return File{}, false
}

// Hashes returns the hashes of all files, sorted and each once.
func (s *Snapshot) Hashes() []string {
	var all []string
	for _, f := range s.Files {
		all = append(all, f.SHA256)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

const byHash = "/by-hash/SHA256/"

// ByHash takes <folder>/by-hash/SHA256/<hash> apart, the path under which apt asks for the file of a folder that has the hash.
func ByHash(name string) (hash, folder string, ok bool) {
	folder, hash, ok = strings.Cut(name, byHash)
	if !ok || !isHash(hash) {
		return "", "", false
	}
	return hash, folder, true
}
