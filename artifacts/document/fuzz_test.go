package document

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// FuzzParse tries to make Parse panic, contradict the schema, or read its own writing differently.
func FuzzParse(f *testing.F) {
	kinds := Kinds()
	for _, which := range []string{"good", "bad"} {
		for _, s := range samples(f, which) {
			if len(s.text) < 4096 {
				f.Add(byte(slices.Index(kinds, s.kind)), s.text)
			}
		}
	}
	schemas := map[Kind]*jsonschema.Schema{}
	for _, kind := range kinds {
		schemas[kind] = schemaOf(f, kind)
	}
	f.Fuzz(func(t *testing.T, which byte, text []byte) {
		kind := kinds[int(which)%len(kinds)]
		doc, faults := Parse(kind, text)
		canSay := false
		for _, fault := range faults {
			canSay = canSay || sayable(fault)
			if fault.Line < 1 || fault.Column < 1 || fault.Problem == "" || fault.Fix == "" || strings.ContainsAny(fault.String(), "\r\n") {
				t.Errorf("%#v", fault)
			}
		}
		if doc == nil {
			if len(faults) == 0 {
				t.Fatal("neither a document nor a fault")
			}
			return
		}
		if refused, ok := judge(schemas[kind], text); ok && (refused != nil && len(faults) == 0 || refused == nil && canSay) {
			t.Errorf("the schema says %v, and the faults are\n%v", refused, faults)
		}
		if len(faults) > 0 {
			return
		}
		again := Render(doc)
		read, faults := Parse(kind, again)
		if len(faults) > 0 || string(Render(read)) != string(again) {
			t.Errorf("rendered it is\n%s\nwith the faults\n%v\nand then\n%s", again, faults, Render(read))
		}
	})
}

// hostile are texts that ask for more than they are long, with the kind that takes them the furthest.
func hostile() map[string]sample {
	all := map[string]sample{}
	// add makes a text of begin, as much of middle as there is room for, with a number in each, and end.
	add := func(name string, kind Kind, begin, middle, end string) {
		var b strings.Builder
		b.WriteString(begin)
		for i := 0; b.Len()+len(middle)+len(end)+8 < kind.MaxSize(); i++ {
			if strings.Contains(middle, "%") {
				fmt.Fprintf(&b, middle, i)
			} else {
				b.WriteString(middle)
			}
		}
		b.WriteString(end)
		all[name] = sample{kind: kind, text: []byte(b.String())}
	}
	add("open lists", KindDomain, "", "[", "")
	add("open maps", KindDomain, "", "{", "")
	add("open keys", KindDomain, "", "? ", "")
	add("dashes", KindDomain, "", "- ", "")
	add("empty entries", KindDomain, "", "-\n", "")
	add("flow", KindDomain, "[", "1,", "]")
	add("flow pairs", KindDomain, "{", "a:,", "}")
	add("same keys", KindDomain, "", "a:\n", "")
	add("keys", KindDomain, "", "k%d: v\n", "")
	add("labels", KindManifest, "labels:\n", " k%d: v\n", "")
	add("rows", KindDomain, "components:\n", " - name: a/b/c%d\n", "")
	add("good rows", KindDomain, "components:\n", " - {name: a/b/c%d, version: 1.0.0}\n", "")
	add("empty rows", KindDomain, "components: [", "{},", "]")
	add("domains", KindMetadata, "domains: [", "d%d,", "]")
	add("dependencies", KindMetadata, "dependencies: [", "d%d,", "]")
	add("comments", KindDomain, "", "#\n", "")
	add("comments in between", KindDomain, "", "a: b #c\n#d\n", "")
	add("anchors", KindDomain, "", "- &a%d b\n", "")
	add("aliases", KindDomain, "- &a b\n", "- *a\n", "")
	add("tags", KindDomain, "", "- !a b\n", "")
	add("directives", KindDomain, "", "%%TAG !a%d! b\n", "")
	add("late directives", KindDomain, "a\n...\n", "%%TAG !a%d! b\n", "")
	add("documents", KindDomain, "", "---\n", "")
	add("long text", KindMetadata, "notes: ", "x", "\n")
	add("long digits", KindMetadata, "port_exposed: ", "1", "\n")
	add("long version", KindManifest, "version: ", "1.", "\n")
	add("long name", KindMetadata, "group: ", "a-", "\n")
	add("long address", KindOwnership, "source_repo: https://", "a-", "\n")
	add("long mail", KindOwnership, "product_owner: ", "a.", "\n")
	add("long key", KindDomain, "", "a", ": b\n")
	add("long quotes", KindMetadata, "notes: '", "''", "'\n")
	add("escapes", KindMetadata, `notes: "`, `\n`, `"`)
	add("blanks", KindDomain, "", " ", "")
	add("lines", KindDomain, "", "\n", "")
	add("laughs", KindDomain, "a: &a [x,x,x,x,x,x,x,x,x]\n", "b%d: &a [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n", "")
	add("big anchor", KindDomain, "x: &a {", "k%d: v,", "}\ncomponents: ["+strings.Repeat("*a,", 99)+"]\n")
	return all
}

// Whatever is asked for, it takes no longer than a reader would wait, fits into memory, and a hundred faults at most come back. It is half a second and 210 MiB
// each; the bounds are for slow machines under the race detector, and still far below what a search in squares or the laughs would take.
func TestParse_takes_little_time_for_hostile_texts(t *testing.T) {
	for name, s := range hostile() {
		if len(s.text) > s.kind.MaxSize() || len(s.text) < s.kind.MaxSize()-64 {
			t.Errorf("%s: the text has %d bytes, want nearly %d", name, len(s.text), s.kind.MaxSize())
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		_, faults := Parse(s.kind, s.text)
		runtime.ReadMemStats(&after)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s took %v", name, took)
		}
		if asked := after.TotalAlloc - before.TotalAlloc; asked > 1<<30 {
			t.Errorf("%s asked for %d MiB", name, asked>>20)
		}
		if len(faults) > faultsLimit+1 {
			t.Errorf("%s has %d faults, want %d at most", name, len(faults), faultsLimit+1)
		}
	}
}

func TestParse_refuses_a_document_that_is_too_long(t *testing.T) {
	for _, kind := range Kinds() {
		text := strings.Repeat("#", kind.MaxSize()-1) + "\n"
		if _, faults := Parse(kind, []byte(text)); len(faults) != 1 || !strings.Contains(faults[0].Problem, "empty") {
			t.Errorf("%s: %d bytes should be taken: %v", kind, len(text), faults)
		}
		if _, faults := Parse(kind, []byte(text+"\n")); len(faults) != 1 || !strings.Contains(faults[0].Problem, "bytes") {
			t.Errorf("%s: %d bytes should be too many: %v", kind, len(text)+1, faults)
		}
	}
}
