package document

import (
	"bytes"
	"encoding/json"
	"strings"
)

// member and object are a JSON object whose members keep their order, so that people can read it and its bytes never change by chance.
type member struct {
	name  string
	value any
}

type object []member

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := plainJSON(m.name)
		if err != nil {
			return nil, err
		}
		value, err := plainJSON(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// plainJSON keeps < and > as they are: patterns are meant to be read.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// Schema returns the JSON Schema (draft 2020-12) of a kind, nil if there is no such kind. It refuses what [Parse] refuses, save what JSON Schema
// cannot say: that no key, name or architecture comes twice, how numbers are spelt, and what is wrong with the YAML itself. The calendar is
// checked by those who assert formats.
func (k Kind) Schema() []byte {
	doc := k.blank()
	if doc == nil {
		return nil
	}
	s := object{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", string(k)}}
	s = append(s, mapOf(doc.fields())...)
	if all := doc.conditions(); len(all) > 0 {
		s = append(s, member{"allOf", all})
	}
	flat, err := plainJSON(s)
	if err != nil {
		panic("schema of " + string(k) + ": " + err.Error()) // there is nothing in it that JSON does not have
	}
	var b bytes.Buffer
	if err := json.Indent(&b, flat, "", "  "); err != nil {
		panic("schema of " + string(k) + ": " + err.Error())
	}
	b.WriteByte('\n')
	return b.Bytes()
}

func mapOf(fields []field) object {
	var required []string
	var properties object
	for _, f := range fields {
		if f.required {
			required = append(required, f.name)
		}
		s := append(object{{"description", sentence(f.says)}}, f.value.schema()...)
		properties = append(properties, member{f.name, s})
	}
	s := object{{"type", "object"}, {"properties", properties}}
	if required != nil {
		s = append(s, member{"required", required})
	}
	return append(s, member{"additionalProperties", false})
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// when is a condition: if the first holds for a document, the second does, too.
func when(given, then object) object { return object{{"if", given}, {"then", then}} }

// has says that a field is there and is so.
func has(name string, so object) object {
	return object{{"required", []string{name}}, {"properties", object{{name, so}}}}
}
