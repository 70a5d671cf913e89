package crash

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/opencontainers/go-digest"
)

// suiteSeen is what is remembered of a suite from one look to the next.
type suiteSeen struct {
	date    time.Time
	release string
	files   map[string]bool // of the pool, that were read
}

// most is how far a suite's date may be ahead: hosts refuse it from ten seconds on (apt.conf(5), Max-FutureTime).
const most = 10 * time.Second

func dashed(place string) string { return strings.ReplaceAll(place, ".", "-") }

// lookAtSuite checks the suite of a place as a host does that trusts nothing but the key, and that it lists what is deployed. After a start the program may
// publish a suite again: what was read while it did so is read once more.
func (s *scene) lookAtSuite(place string, stands map[string]standing, all bool) {
	s.t.Helper()
	published := func() string {
		return string(s.reg.Do(s.t, "GET", "/apt/dists/"+dashed(place)+"/InRelease", nil).Want(s.t, 200, 404).Body)
	}
	for try := 1; ; try++ {
		s.wrong = nil
		before := published()
		s.lookOnce(place, stands, all)
		if published() == before {
			break
		}
		if try == 10 {
			s.t.Fatalf("the suite of %s is published over and over", place)
		}
	}
	for _, fault := range s.wrong {
		s.t.Error(fault)
	}
}

// finds notes what is wrong with a suite.
func (s *scene) finds(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

func (s *scene) lookOnce(place string, stands map[string]standing, all bool) {
	s.t.Helper()
	name := dashed(place)
	seen := s.suites[name]
	if seen == nil {
		seen = &suiteSeen{files: map[string]bool{}}
		s.suites[name] = seen
	}
	want := map[string]map[string]listing{}
	for _, arch := range processors {
		want[arch] = map[string]listing{}
		for _, p := range s.products {
			for _, l := range stands[p.name].listings(p, arch) {
				want[arch][l.file] = l
			}
		}
	}
	base := "/apt/dists/" + name + "/"
	reply := s.reg.Do(s.t, "GET", base+"InRelease", nil).Want(s.t, 200, 404)
	if reply.Status == 404 {
		if len(want["amd64"]) > 0 || !seen.date.IsZero() {
			s.finds("there is no suite %s, which must list %d packages", name, len(want["amd64"]))
		}
		return
	}
	release := s.signed(base, reply.Body, s.key())
	date, lists := s.release(name, release)
	if date.Before(seen.date) || date.Equal(seen.date) && release != seen.release {
		s.finds("suite %s: its date goes from %s to %s", name, seen.date, date)
	}
	if early := time.Until(date); early > most {
		s.finds("suite %s is of a time that comes in %s: hosts refuse it until then", name, early)
	}
	seen.date, seen.release = date, release
	listed := map[string]map[string]listing{}
	for at, l := range lists {
		content := s.list(base, at, l)
		if dir, file := path.Split(at); file == "Packages" {
			_, arch, _ := strings.Cut(strings.TrimSuffix(dir, "/"), "/binary-")
			if listed[arch] == nil {
				listed[arch] = map[string]listing{}
			}
			s.stanzas(string(content), path.Dir(path.Dir(at)), arch, listed[arch])
			if zipped, ok := lists[at+".gz"]; !ok || string(unzipped(s.list(base, at+".gz", zipped))) != string(content) {
				s.finds("suite %s: %s.gz is another list", name, at)
			}
		}
	}
	for _, arch := range processors {
		if shows(listed[arch]) != shows(want[arch]) && len(listed[arch])+len(want[arch]) > 0 {
			s.finds("suite %s for %s lists\n%s\nwant\n%s", name, arch, strings.Join(sortedNames(listed[arch]), "\n"), strings.Join(sortedNames(want[arch]), "\n"))
		}
		for file, l := range listed[arch] {
			if all || !seen.files[file] {
				seen.files[file] = true
				got := s.reg.Do(s.t, "GET", "/apt/"+(&url.URL{Path: file}).EscapedPath(), nil).Want(s.t, 200)
				if digest.FromBytes(got.Body).Encoded() != l.sha256 || len(got.Body) != l.size {
					s.finds("%s has other bytes than suite %s says", file, name)
				}
			}
		}
	}
	if all {
		s.lookAtSnapshots(name)
	}
}

// key reads what hosts are to trust now. All that it ever was is remembered, for the snapshots of those times.
func (s *scene) key() openpgp.EntityList {
	s.t.Helper()
	text := s.reg.Do(s.t, "GET", "/apt/key.asc", nil).Want(s.t, 200).Body
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
	if err != nil {
		s.t.Fatalf("/apt/key.asc: %v", err)
	}
	if !s.known[string(text)] {
		s.known[string(text)] = true
		s.keys = append(s.keys, ring...)
	}
	return ring
}

// signed checks the signatures of a suite and returns its Release.
func (s *scene) signed(base string, inRelease []byte, ring openpgp.EntityList) string {
	s.t.Helper()
	// Dates may be ahead of the clock.
	config := &packet.Config{Time: func() time.Time { return time.Now().Add(time.Hour) }}
	block, rest := clearsign.Decode(inRelease)
	if block == nil || len(rest) > 0 {
		s.t.Fatalf("%sInRelease is not one signed text: %s", base, inRelease)
	}
	if _, err := block.VerifySignature(ring, config); err != nil {
		s.finds("%sInRelease: %v", base, err)
	}
	release := s.reg.Do(s.t, "GET", base+"Release", nil).Want(s.t, 200).Body
	if strings.TrimSuffix(string(release), "\n") != strings.TrimSuffix(string(block.Plaintext), "\n") {
		s.finds("%sRelease is not what InRelease says", base)
	}
	apart := s.reg.Do(s.t, "GET", base+"Release.gpg", nil).Want(s.t, 200).Body
	if _, err := openpgp.CheckArmoredDetachedSignature(ring, bytes.NewReader(release), bytes.NewReader(apart), config); err != nil {
		s.finds("%sRelease.gpg: %v", base, err)
	}
	return string(release)
}

// release reads a Release: its date, and the files that it vouches for.
func (s *scene) release(name, text string) (date time.Time, files map[string]listing) {
	s.t.Helper()
	files = map[string]listing{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if value, ok := strings.CutPrefix(line, "Date: "); ok {
			var err error
			if date, err = time.Parse(time.RFC1123, value); err != nil {
				s.finds("suite %s: %v", name, err)
			}
		}
		if strings.HasPrefix(line, " ") {
			var l listing
			if n, err := fmt.Sscan(line, &l.sha256, &l.size, &l.file); n != 3 || err != nil {
				s.finds("suite %s: the line %q: %v", name, line, err)
			}
			files[l.file] = l
		}
		if value, ok := strings.CutPrefix(line, "Codename: "); ok && value != name {
			s.finds("suite %s is called %s", name, value)
		}
	}
	if date.IsZero() || len(files) == 0 {
		s.finds("suite %s: its Release is %q", name, text)
	}
	return date, files
}

// list reads a list under its name and by its hash, and compares it with what Release says.
func (s *scene) list(base, at string, l listing) []byte {
	s.t.Helper()
	var content []byte
	for _, address := range []string{base + path.Dir(at) + "/by-hash/SHA256/" + l.sha256, base + at} {
		content = s.reg.Do(s.t, "GET", address, nil).Want(s.t, 200).Body
		if digest.FromBytes(content).Encoded() != l.sha256 || len(content) != l.size {
			s.finds("%s has other bytes than Release says", address)
		}
	}
	return content
}

// stanzas reads the paragraphs of a list.
func (s *scene) stanzas(text, group, arch string, into map[string]listing) {
	s.t.Helper()
	for stanza := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if stanza == "" {
			continue
		}
		fields := map[string]string{}
		for line := range strings.SplitSeq(stanza, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			fields[name] = value
		}
		l := listing{file: fields["Filename"], sha256: fields["SHA256"]}
		_, err := fmt.Sscan(fields["Size"], &l.size)
		parts := strings.Split(l.file, "/")
		if _, twice := into[l.file]; err != nil || twice || fields["Architecture"] != arch || len(parts) != 5 || parts[2] != group {
			s.finds("a list of %s for %s has %q", group, arch, stanza)
		}
		into[l.file] = l
	}
}

func unzipped(content []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return []byte(err.Error())
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return []byte(err.Error())
	}
	return text
}

// snapshotsRead is how many snapshots of a suite are read at most.
const snapshotsRead = 12

// lookAtSnapshots reads snapshots of a suite that are listed: each is whole.
func (s *scene) lookAtSnapshots(name string) {
	s.t.Helper()
	dates := strings.Fields(string(s.reg.Do(s.t, "GET", "/apt/snapshots/?suite="+name, nil).Want(s.t, 200).Body))
	if len(dates) == 0 || !slices.IsSorted(dates) {
		s.finds("suite %s has the snapshots %v", name, dates)
	}
	every := max(1, len(dates)/snapshotsRead)
	for i := 0; i < len(dates); i += every {
		base := "/apt/snapshots/" + dates[i] + "/dists/" + name + "/"
		inRelease := s.reg.Do(s.t, "GET", base+"InRelease", nil).Want(s.t, 200).Body
		date, lists := s.release(name, s.signed(base, inRelease, s.keys))
		if date.Format("20060102T150405Z") != dates[i] {
			s.finds("suite %s: the snapshot %s has the date %s", name, dates[i], date)
		}
		for at, l := range lists {
			s.list(base, at, l)
		}
	}
}
