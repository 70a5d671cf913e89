package document

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// schemaOf compiles a kind's schema, which is compared with the schema of schemas, too.
func schemaOf(t testing.TB, kind Kind) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(kind.Schema()))
	if err != nil {
		t.Fatalf("schema of %s: %v", kind, err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("https://registry.example.com/schemas/"+string(kind)+".json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("https://registry.example.com/schemas/" + string(kind) + ".json")
	if err != nil {
		t.Fatalf("schema of %s: %v", kind, err)
	}
	return s
}

// unsayable are the last parts of the rules that no JSON Schema can know: JSON has neither the same key twice nor several ways to write a number,
// and lists in which one member is unique, two names for the same or the opinion of others are beyond it.
var unsayable = []string{".key.repeated", ".name.repeated", ".same", ".spelling", ".constraint", ".rules.unknown"}

func sayable(f Fault) bool {
	for _, end := range unsayable {
		if strings.HasSuffix(f.Rule, end) {
			return false
		}
	}
	return !Fatal(f.Rule)
}

var errNoJSON = errors.New("JSON has nothing like it")

// asJSON turns YAML into what a JSON Schema judges, as an editor would. Of a key given twice it takes the first. left is how many values there may
// be: aliases can ask for more than any memory holds.
func asJSON(n *yaml.Node, left *int) (any, error) {
	n = follow(n)
	if *left--; tagged(n) || *left < 0 {
		return nil, errNoJSON
	}
	switch n.Kind {
	case yaml.SequenceNode:
		all := []any{}
		for _, c := range n.Content {
			v, err := asJSON(c, left)
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
		return all, nil
	case yaml.MappingNode:
		all := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := follow(n.Content[i])
			if key.Kind != yaml.ScalarNode || key.Tag == mergeTag || tagged(key) {
				return nil, errNoJSON
			}
			v, err := asJSON(n.Content[i+1], left)
			if err != nil {
				return nil, err
			}
			if _, twice := all[key.Value]; !twice {
				all[key.Value] = v
			}
		}
		return all, nil
	}
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int", "!!float":
		var f float64
		if err := n.Decode(&f); err != nil || f-f != 0 {
			return nil, errNoJSON // infinity and what is no number
		}
		return jsonNumber(f)
	}
	return n.Value, nil
}

func jsonNumber(f float64) (any, error) {
	return jsonschema.UnmarshalJSON(strings.NewReader(strconv.FormatFloat(f, 'g', -1, 64)))
}

// judge asks the schema; ok is false if the text is nothing that JSON could be made of.
func judge(s *jsonschema.Schema, text []byte) (refused error, ok bool) {
	var n yaml.Node
	if yaml.Unmarshal(text, &n) != nil || len(n.Content) == 0 {
		return nil, false
	}
	left := 100_000
	v, err := asJSON(n.Content[0], &left)
	if err != nil {
		return nil, false
	}
	return s.Validate(v), true
}

func TestSchema_takes_every_good_document(t *testing.T) {
	for _, s := range samples(t, "good") {
		if err, ok := judge(schemaOf(t, s.kind), s.text); err != nil || !ok {
			t.Errorf("%s: want no fault, got %v", s.path, err)
		}
	}
}

// The schema refuses a bad document exactly if one of its faults is one that JSON Schema can say.
func TestSchema_refuses_the_bad_documents(t *testing.T) {
	judged := 0
	for _, s := range samples(t, "bad") {
		_, faults := asking.Parse(s.kind, s.text)
		want, fatal := false, false
		for _, f := range faults {
			want = want || sayable(f)
			fatal = fatal || Fatal(f.Rule)
		}
		refused, ok := judge(schemaOf(t, s.kind), s.text)
		if !ok || fatal && !want {
			continue // no YAML, or none that is plain: nothing for a schema to judge
		}
		judged++
		if (refused != nil) != want {
			t.Errorf("%s: the schema says %v, and the faults are\n%v", s.path, refused, faults)
		}
	}
	if judged < 90 {
		t.Errorf("%d bad documents were judged, want 90 at least", judged)
	}
}

// What is published changes on purpose only.
func TestSchema_stands_in_its_golden_file(t *testing.T) {
	for _, kind := range Kinds() {
		golden := filepath.Join("testdata", string(kind), "schema.json")
		if *update {
			if err := os.WriteFile(golden, kind.Schema(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got := kind.Schema(); !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", kind, got, want)
		}
	}
	if got := Kind("picture").Schema(); got != nil {
		t.Errorf("there is a schema of pictures: %s", got)
	}
}
