package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestPrintAs_yaml_keeps_names_order_and_values(t *testing.T) {
	const text = `{"b":"1.0","a":[1,2.50,-3,true,null,"yes","on","12:30:45","2026-05-10T22:15:00Z","<&>"],"c":{},"d":[],"e":"two\nlines","0x10":"0x10","n":123456789012345678901}`
	var out bytes.Buffer
	if err := (&app{stdout: &out}).printAs(asYAML, json.RawMessage(text)); err != nil {
		t.Fatal(err)
	}
	const want = `b: "1.0"
a:
  - 1
  - 2.50
  - -3
  - true
  - null
  - "yes"
  - "on"
  - "12:30:45"
  - "2026-05-10T22:15:00Z"
  - <&>
c: {}
d: []
e: |-
  two
  lines
"0x10": "0x10"
"n": 123456789012345678901
`
	if out.String() != want {
		t.Errorf("it is\n%s\nwant\n%s", out.String(), want)
	}
	var got, meant any
	if err := yaml.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(text), &meant); err != nil { // JSON is YAML
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, meant) {
		t.Errorf("it is read as %v; want %v", got, meant)
	}
}

func TestPrintAs_yaml_ends_in_one_newline(t *testing.T) {
	for _, value := range []any{"", "a", "a\n", "a\n\n", "a\nb\n\n\n", "\n", "\n\n", []string{}, []string{"a\n\n"}, map[string]string{}, map[string]string{"a": "b\n\n"}, nil} {
		text, err := rawJSON(value)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := (&app{stdout: &out}).printAs(asYAML, text); err != nil {
			t.Fatal(err)
		}
		if s := out.String(); !strings.HasSuffix(s, "\n") || strings.HasSuffix(s, "\n\n") {
			t.Errorf("%s is printed as %q, want one newline at its end", text, s)
		}
		var got, meant any
		if err := errors.Join(yaml.Unmarshal(out.Bytes(), &got), json.Unmarshal(text, &meant)); err != nil || !reflect.DeepEqual(got, meant) {
			t.Errorf("%s is read as %#v, %v", text, got, err)
		}
	}
}

func TestPrintAs_json_leaves_signs_as_they_are(t *testing.T) {
	var out bytes.Buffer
	if err := (&app{stdout: &out}).printAs(asJSON, []json.RawMessage{json.RawMessage(`{"text":"a >=1, <2 & b"}`)}); err != nil {
		t.Fatal(err)
	}
	if want := "[\n  {\n    \"text\": \"a >=1, <2 & b\"\n  }\n]\n"; out.String() != want {
		t.Errorf("it is %q; want %q", out.String(), want)
	}
}
