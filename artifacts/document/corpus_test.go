package document

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample is a document of the corpus, in testdata/<kind>/<good or bad>.
type sample struct {
	kind Kind
	path string
	text []byte
}

func samples(t testing.TB, which string) []sample {
	t.Helper()
	var all []sample
	for _, kind := range Kinds() {
		paths, err := filepath.Glob(filepath.Join("testdata", string(kind), which, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, sample{kind, path, text})
		}
	}
	return all
}

// asking knows the rules of all kinds, and that a comparison needs a version.
var asking = Parser{
	Dependency: func(text string) error {
		if strings.HasSuffix(text, "=") {
			return fmt.Errorf("has no version in %q", text)
		}
		return nil
	},
	Rule: func(id string) bool { return slices.Contains(append(knownIDs(), otherIDs...), id) },
}

// otherIDs are rules of those who compare.
var otherIDs = []string{"manifest.base_image.allowed", "manifest.built_at.stale", "ownership.missing"}

func knownIDs() []string {
	var ids []string
	for _, kind := range Kinds() {
		for _, r := range Rules(kind) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

func TestParse_takes_every_good_document_and_renders_it_so_that_it_reads_the_same(t *testing.T) {
	for _, s := range samples(t, "good") {
		doc, faults := asking.Parse(s.kind, s.text)
		if len(faults) > 0 {
			t.Errorf("%s: want no faults, got:\n%v", s.path, faults)
			continue
		}
		text := Render(doc)
		again, faults := asking.Parse(s.kind, text)
		if len(faults) > 0 {
			t.Errorf("%s: rendered it has faults:\n%v\n%s", s.path, faults, text)
			continue
		}
		if second := Render(again); string(second) != string(text) {
			t.Errorf("%s: the second rendering differs:\n%s\nthe first:\n%s", s.path, second, text)
		}
	}
}

// The faults of a bad document stand in a file beside it, each with its rule.
func TestParse_finds_exactly_the_faults_of_each_bad_document(t *testing.T) {
	counts := map[Kind]int{}
	for _, s := range samples(t, "bad") {
		counts[s.kind]++
		doc, faults := asking.Parse(s.kind, s.text)
		var b strings.Builder
		fatal := false
		for _, f := range faults {
			fmt.Fprintf(&b, "%-34s %s\n", f.Rule, f)
			fatal = fatal || Fatal(f.Rule)
		}
		golden := strings.TrimSuffix(s.path, ".yaml") + ".faults"
		if *update {
			if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) || b.Len() == 0 {
			t.Errorf("%s: got\n%swant\n%s", s.path, b.String(), want)
		}
		if fatal != (doc == nil) {
			t.Errorf("%s: the document is there: %v, but it is fatal: %v", s.path, doc != nil, fatal)
		}
	}
	least := map[Kind]int{KindManifest: 15, KindMetadata: 15, KindOwnership: 15, KindComponents: 8, KindDomain: 8, KindPolicy: 8}
	for kind, want := range least {
		if counts[kind] < want {
			t.Errorf("%s: the corpus has %d bad documents, want %d at least", kind, counts[kind], want)
		}
	}
}

// What can be configured can be seen in the corpus, and nothing else can.
func TestRules_are_exactly_those_that_the_bad_documents_break(t *testing.T) {
	broken := map[string]bool{}
	for _, s := range samples(t, "bad") {
		_, faults := asking.Parse(s.kind, s.text)
		for _, f := range faults {
			broken[f.Rule] = true
		}
	}
	known := map[string]bool{}
	for _, kind := range Kinds() {
		for _, r := range Rules(kind) {
			if known[r.ID] {
				t.Errorf("%s is there twice", r.ID)
			}
			if r.Says == "" || r.Fatal != Fatal(r.ID) {
				t.Errorf("%+v says nothing, or is fatal by one account only", r)
			}
			if !ruleForm.matches(r.ID) {
				t.Errorf("policy.yaml cannot name %s", r.ID)
			}
			known[r.ID] = true
		}
	}
	for id := range maps.Keys(known) {
		if !broken[id] {
			t.Errorf("no bad document breaks %s", id)
		}
	}
	for id := range maps.Keys(broken) {
		if !known[id] {
			t.Errorf("%s is broken, but is no rule", id)
		}
	}
}

// A fault tells what to do, in one line that ends like part of a sentence, and points into the document.
func TestFaults_say_where_they_are_and_what_to_do(t *testing.T) {
	for _, s := range samples(t, "bad") {
		_, faults := asking.Parse(s.kind, s.text)
		lines := strings.Count(string(s.text), "\n") + 1
		for i, f := range faults {
			if f.Problem == "" || f.Fix == "" || strings.ContainsAny(f.String(), "\n\r") || strings.HasSuffix(f.Fix, ".") || len(f.String()) > 600 {
				t.Errorf("%s: %q", s.path, f)
			}
			if f.Line < 1 || f.Line > lines || f.Column < 1 {
				t.Errorf("%s: %q is not in the document, which has %d lines", s.path, f, lines)
			}
			if i > 0 && (f.Line < faults[i-1].Line || f.Line == faults[i-1].Line && f.Column < faults[i-1].Column) {
				t.Errorf("%s: %q stands after %q", s.path, f, faults[i-1])
			}
			if strings.Contains(f.String(), "secret") {
				t.Errorf("%s: %q repeats a password", s.path, f)
			}
		}
	}
}
