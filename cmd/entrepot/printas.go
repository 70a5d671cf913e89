package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// How lists are printed.
const (
	asTable = "table"
	asJSON  = "json"
	asYAML  = "yaml"
)

// formatFlag adds -o to a verb that lists or shows what the server has: for people, or as the server says it, in JSON or in YAML.
func formatFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVarP(into, "output", "o", asTable, "how to print: table, json or yaml")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		switch *into {
		case "text": // as other verbs call it
			*into = asTable
		case asTable, asJSON, asYAML:
		default:
			return misuse(cmd, "--output %q is none of table, json and yaml", *into)
		}
		return nil
	}
}

// printAs prints v as JSON or YAML, with the same names in the same order.
func (a *app) printAs(output string, v any) error {
	if output == asJSON {
		return a.printJSON(v)
	}
	text, err := rawJSON(v)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	node, err := yamlOf(d)
	if err != nil {
		return err
	}
	w := yaml.NewEncoder(a.stdout)
	w.SetIndent(2)
	if err := w.Encode(node); err != nil {
		return err
	}
	return w.Close()
}

// rawJSON is v as JSON with <, > and & left as they are.
func rawJSON(v any) (json.RawMessage, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return text.Bytes(), err
}

// elsewhere is text that readers of YAML 1.1 would take for something else: a truth, or a number to the base of sixty.
var elsewhere = regexp.MustCompile(`^(?i:y|n|yes|no|on|off)$|^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$`)

// yamlOf reads the next JSON value as YAML. Maps stay in their order.
func yamlOf(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch value := token.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if value == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for d.More() {
			// The names in an object are values of their own here.
			one, err := yamlOf(d)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, one)
		}
		_, err := d.Token()
		return n, err
	case string:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
		// As a block, text that ends with empty lines would have the output end with them, too.
		if elsewhere.MatchString(value) || value == "\n" || strings.HasSuffix(value, "\n\n") {
			n.Style = yaml.DoubleQuotedStyle
		}
		return n, nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: value.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(value)}, nil
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
	return nil, io.ErrUnexpectedEOF
}
