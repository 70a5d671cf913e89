package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"
)

const exampleHead = `# Configuration of entrepot: every key, with its default. All of them are optional.
#
# Each key can also be given by a variable, ENTREPOT_ and its path in capitals joined by _: ENTREPOT_LISTEN, ENTREPOT_STORAGE_DISK_PATH.
# A variable has the last word over this file, and a flag over both. Sizes are written like 4MiB, durations like 30s, 24h or 7d.
# Look over a file with: entrepot config check FILE
`

// writeConfig writes c as YAML, each key under its sentence when sentences are given.
func writeConfig(w io.Writer, c Config, sentences map[string][]string) error {
	for _, k := range keys(&c) {
		indent := strings.Repeat("  ", k.depth())
		if sentences != nil {
			// A blank line before each thing at the top, and before nothing else, keeps a section together.
			if k.depth() == 0 {
				fmt.Fprintln(w)
			}
			for _, line := range sentences[k.owner+"."+k.field] {
				fmt.Fprintf(w, "%s# %s\n", indent, line)
			}
		}
		value := ""
		if !k.section {
			text, err := k.yaml()
			if err != nil {
				return err
			}
			value = " " + text
		}
		if _, err := fmt.Fprintf(w, "%s%s:%s\n", indent, k.name(), value); err != nil {
			return err
		}
	}
	return nil
}

// yaml returns the key's value as it stands in a file, quoted where it has to be.
func (k key) yaml() (string, error) {
	text := k.text()
	if _, isText := k.value.Interface().(string); !isText {
		return text, nil
	}
	quoted, err := yaml.Marshal(mask(text))
	return strings.TrimSuffix(string(quoted), "\n"), err
}

// mask hides the password of an address. Everything else that is secret is configured as a file's name.
func mask(text string) string {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return u.Redacted()
	}
	return text
}

// writeExample writes the commented example.
func writeExample(w io.Writer) error {
	sentences, err := configSentences()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, exampleHead); err != nil {
		return err
	}
	return writeConfig(w, defaultConfig(), sentences)
}

// configSentences returns the comment above each field of the configuration, by "Struct.Field".
func configSentences() (map[string][]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	sentences := map[string][]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		t, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		s, ok := t.Type.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range s.Fields.List {
			for _, name := range f.Names {
				if text := strings.TrimSpace(f.Doc.Text()); text != "" {
					sentences[t.Name.Name+"."+name.Name] = strings.Split(text, "\n")
				}
			}
		}
		return true
	})
	return sentences, nil
}
