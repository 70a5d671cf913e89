package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// writeConfig writes c as YAML, such that loading it gives c again.
func writeConfig(w io.Writer, c Config) error {
	var p printer
	p.section(whole(&c), "")
	_, err := w.Write(p.out.Bytes())
	return err
}

// printer writes keys as YAML. With sentences it is an example: each key stands under its sentence, and a list without entries is followed by
// those of the sample, commented.
type printer struct {
	out       bytes.Buffer
	sentences map[string][]string // by "Struct.Field"; nil for none
	sample    func(path string) (key, bool)
	told      map[string]bool // the structs of entries whose sentences stand already further up
}

func (p *printer) section(k key, indent string) {
	for _, child := range k.keys() {
		// A blank line before each thing at the top, and before nothing else, keeps a section together.
		if p.sentences != nil && indent == "" {
			p.out.WriteByte('\n')
		}
		p.sentence(child, indent)
		p.key(child, indent, indent)
	}
}

// sentence writes what the key is for.
func (p *printer) sentence(k key, indent string) {
	for _, line := range p.sentences[k.owner+"."+k.field] {
		fmt.Fprintf(&p.out, "%s# %s\n", indent, line)
	}
}

// key writes a key that begins with lead and whatever is below it, further in than indent.
func (p *printer) key(k key, lead, indent string) {
	fmt.Fprintf(&p.out, "%s%s:", lead, k.name())
	switch {
	case k.section():
		p.out.WriteByte('\n')
		p.section(k, indent+"  ")
	case k.sections():
		p.entries(k, indent)
	case k.texts():
		p.texts(k, indent)
	default:
		fmt.Fprintf(&p.out, " %s\n", k.yaml())
	}
}

func (p *printer) entries(k key, indent string) {
	if k.value.Len() == 0 && p.sample != nil {
		if sample, ok := p.sample(k.path); ok {
			p.commented(sample, indent)
			return
		}
	}
	if k.value.Len() == 0 {
		p.out.WriteString(" []\n")
		return
	}
	p.out.WriteByte('\n')
	for i := range k.value.Len() {
		p.entry(k.entry(i), indent+"  ")
	}
}

// entry writes an entry of a list with those keys that were given, and the first of its kind in an example with all of them and their sentences.
func (p *printer) entry(k key, indent string) {
	kind := k.value.Type().Name()
	explain := p.sentences != nil && !p.told[kind]
	if explain {
		p.told[kind] = true
	}
	lead, inner, plain := indent+"- ", indent, unread(k.value.Type())
	for _, child := range k.keys() {
		if !explain && reflect.DeepEqual(child.value.Interface(), plain.FieldByName(child.field).Interface()) {
			continue
		}
		if explain {
			p.sentence(child, inner)
		}
		p.key(child, lead, indent+"  ")
		lead, inner = indent+"  ", indent+"  "
	}
}

// commented writes a list of the sample such that taking away the column of # gives it.
func (p *printer) commented(k key, indent string) {
	at := p.out.Len()
	p.entries(k, indent)
	text := strings.TrimSuffix(string(p.out.Bytes()[at:]), "\n")
	p.out.Truncate(at)
	p.out.WriteString(strings.ReplaceAll(text, "\n"+indent, "\n"+indent+"# "))
	p.out.WriteByte('\n')
}

func (p *printer) texts(k key, indent string) {
	all := k.value.Interface().(map[string]string)
	if len(all) == 0 {
		p.out.WriteString(" {}\n")
		return
	}
	p.out.WriteByte('\n')
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&p.out, "%s  %s: %s\n", indent, quoted(name), quoted(mask(all[name])))
	}
}

// yaml returns a value as it stands in a file, quoted where it has to be.
func (k key) yaml() string {
	switch v := k.value.Interface().(type) {
	case string:
		if v != "" && k.name() == "password" {
			v = "xxxxx"
		}
		return quoted(mask(v))
	case []string:
		list := yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, text := range v {
			list.Content = append(list.Content, textNode(mask(text)))
		}
		return marshal(&list)
	default:
		return k.text()
	}
}

func quoted(text string) string { return marshal(textNode(text)) }

func textNode(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x85 || r == 0x2028 || r == 0x2029 }) {
		n.Style = yaml.DoubleQuotedStyle // all of it on one line
	}
	return n
}

// marshal returns the YAML of texts. There is nothing in them that could not be written.
func marshal(n *yaml.Node) string {
	text, err := yaml.Marshal(n)
	if err != nil {
		panic("config: no way to write texts: " + err.Error())
	}
	return strings.TrimSuffix(string(text), "\n")
}

// mask hides the password of an address. Everything else that is secret is configured as a file's name.
func mask(text string) string {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return u.Redacted()
	}
	return text
}
