package main

import (
	"bytes"
	"encoding/json"
	"reflect"
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

func TestPrintAs_json_leaves_signs_as_they_are(t *testing.T) {
	var out bytes.Buffer
	if err := (&app{stdout: &out}).printAs(asJSON, []json.RawMessage{json.RawMessage(`{"text":"a >=1, <2 & b"}`)}); err != nil {
		t.Fatal(err)
	}
	if want := "[\n  {\n    \"text\": \"a >=1, <2 & b\"\n  }\n]\n"; out.String() != want {
		t.Errorf("it is %q; want %q", out.String(), want)
	}
}
