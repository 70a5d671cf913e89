package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	envPrefix = "ENTREPOT_"
	envConfig = "ENTREPOT_CONFIG"
	envServer = "ENTREPOT_SERVER"
)

// configFileLimit is far above any configuration that a person writes; a wrong path may well name a disk image.
const configFileLimit = 1 << 20

// faults is everything that is wrong with a configuration, not only the first thing.
type faults []string

func (f faults) Error() string {
	if len(f) == 1 {
		return f[0]
	}
	return fmt.Sprintf("%d faults\n  %s", len(f), strings.Join(f, "\n  "))
}

// loadConfig returns the configuration of the file (path, else the one named by ENTREPOT_CONFIG, else none), with the environment's
// values over the file's and the file's over the defaults. The error names every fault with its file and line, or its variable.
func loadConfig(path string, environ []string) (Config, error) {
	c := defaultConfig()
	l := &loader{keys: keys(&c), origin: map[string]string{}}
	if path == "" {
		path = (&app{environ: environ}).getenv(envConfig)
	}
	if path != "" {
		if err := l.file(path); err != nil {
			return Config{}, fmt.Errorf("read configuration: %w", err)
		}
	}
	l.environment(environ)
	c.origin = l.origin
	if l.broken {
		// What could not even be read would only be judged by its parts.
		return Config{}, fmt.Errorf("read configuration: %w", l.faults)
	}
	if all := append(l.faults, c.faults()...); len(all) > 0 {
		return Config{}, fmt.Errorf("read configuration: %w", all)
	}
	return c, nil
}

// loader gathers values and faults while it reads.
type loader struct {
	keys   []key
	origin map[string]string
	faults faults
	broken bool // the file is not YAML
	name   string
}

func (l *loader) fault(at, format string, args ...any) {
	l.faults = append(l.faults, at+": "+fmt.Sprintf(format, args...))
}

func (l *loader) at(n *yaml.Node) string { return l.name + ":" + strconv.Itoa(n.Line) }

func (l *loader) file(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, configFileLimit+1))
	if err != nil {
		return err
	}
	if len(text) > configFileLimit {
		return fmt.Errorf("%s is larger than %v, so it is hardly a configuration", path, Bytes(configFileLimit))
	}
	l.name = path
	l.yaml(text)
	return nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (l *loader) yaml(text []byte) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	err := d.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return // an empty file asks for the defaults
	}
	if err == nil {
		if err = d.Decode(&second); err == nil {
			l.broken = true
			l.fault(l.at(&second), "a second document begins; keep one configuration to a file")
			return
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		l.broken = true
		line := "1"
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
			line = m[1]
		}
		l.fault(l.name+":"+line, "not YAML: %s", yamlLine.ReplaceAllString(err.Error(), ""))
		return
	}
	l.section(doc.Content[0], "")
}

// section reads the keys under path ("" is the file itself).
func (l *loader) section(n *yaml.Node, path string) {
	if isNull(n) {
		return // a section whose keys are all commented out
	}
	if n.Kind != yaml.MappingNode {
		l.fault(l.at(n), "%s is %s, but it has keys of its own%s", orWhole(path), describe(n), l.inside(path))
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		full := name.Value
		if path != "" {
			full = path + "." + name.Value
		}
		if line, twice := first[name.Value]; twice {
			l.fault(l.at(name), "%s is given twice, first on line %d", full, line)
			continue
		}
		first[name.Value] = name.Line
		k := l.find(full)
		if k == nil {
			l.fault(l.at(name), "unknown key %s%s", full, didYouMean(full, l.names()))
			continue
		}
		// Anchors and aliases are YAML's own shorthand. Sections are finite, so an alias cannot lead in circles.
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if k.section {
			l.section(value, full)
			continue
		}
		l.value(*k, value)
	}
}

func (l *loader) value(k key, n *yaml.Node) {
	if isNull(n) {
		l.fault(l.at(n), "%s has no value; give %s or remove the line", k.path, k.wants())
		return
	}
	// A quoted "true" is text, and 5000 where text is wanted is a number: neither is what was meant.
	_, isBytes := k.value.Interface().(Bytes)
	fits := n.Kind == yaml.ScalarNode && (n.Tag == "!!str" && k.wants() != "true or false" ||
		n.Tag == "!!bool" && k.wants() == "true or false" ||
		n.Tag == "!!int" && isBytes)
	if !fits {
		l.fault(l.at(n), "%s is %s, but it takes %s", k.path, describe(n), k.wants())
		return
	}
	text := n.Value
	if n.Tag == "!!bool" {
		text = strings.ToLower(text)
	}
	if err := k.setText(text); err != nil {
		l.fault(l.at(n), "%s: %v", k.path, err)
		return
	}
	l.origin[k.path] = l.at(n)
}

// environment reads the variables of the keys, and refuses one that looks like a key and is none.
func (l *loader) environment(environ []string) {
	byName := map[string]key{}
	var known []string
	for _, k := range l.keys {
		if !k.section {
			byName[k.env()] = k
			known = append(known, k.env())
		}
	}
	slices.Sort(known)
	for _, v := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(v, "=")
		switch {
		case !strings.HasPrefix(name, envPrefix):
			continue
		case name == envConfig, name == envServer, name == "ENTREPOT_BIN", strings.HasPrefix(name, "ENTREPOT_TEST_"):
			continue // said to the client verbs and to the tests, not to the server
		}
		k, ok := byName[name]
		if !ok {
			l.fault(name, "unknown variable%s", didYouMean(name, known))
			continue
		}
		if err := k.setText(value); err != nil {
			l.fault(name, "%v", err)
			continue
		}
		l.origin[k.path] = name
	}
}

func (l *loader) find(path string) *key {
	for i := range l.keys {
		if l.keys[i].path == path {
			return &l.keys[i]
		}
	}
	return nil
}

func (l *loader) names() []string {
	var names []string
	for _, k := range l.keys {
		names = append(names, k.path)
	}
	return names
}

// inside lists the keys of a section, for somebody who gave it a value.
func (l *loader) inside(section string) string {
	var names []string
	for _, k := range l.keys {
		if strings.TrimSuffix(strings.TrimSuffix(k.path, k.name()), ".") == section {
			names = append(names, k.name())
		}
	}
	return ": " + strings.Join(names, ", ")
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func orWhole(path string) string {
	if path == "" {
		return "the configuration"
	}
	return path
}

// describe names what stands in the file in the words of its reader.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a section"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + n.Value
	case n.Tag == "!!bool":
		return n.Value
	case n.Tag == "!!str":
		return "the text " + strconv.Quote(n.Value)
	default:
		return strconv.Quote(n.Value)
	}
}
