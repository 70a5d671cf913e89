package main

import (
	"reflect"
	"strconv"
	"strings"
)

// key is one place of the configuration: a value, a section with keys of its own, a list, one of a list's entries, or texts by their names.
type key struct {
	path  string        // storage.disk.path, auth.grants[2].role; empty for the whole
	owner string        // the struct that has the field, and
	field string        // the field's name there: where its sentence is found
	value reflect.Value // settable when the configuration was given by pointer
}

// whole is the key of all of c.
func whole(c *Config) key { return key{value: reflect.ValueOf(c).Elem()} }

func (k key) name() string  { return k.path[strings.LastIndexByte(k.path, '.')+1:] }
func (k key) section() bool { return k.value.Kind() == reflect.Struct }
func (k key) list() bool    { return k.value.Kind() == reflect.Slice }
func (k key) texts() bool   { return k.value.Kind() == reflect.Map }

// sections tells whether k is a list whose entries have keys of their own.
func (k key) sections() bool { return k.list() && k.value.Type().Elem().Kind() == reflect.Struct }

// env returns the variable that sets the key: ENTREPOT_STORAGE_DISK_PATH. An entry of a list has none.
func (k key) env() string { return envPrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_")) }

// keys lists the keys of a section, in the order of the struct.
func (k key) keys() []key {
	var all []key
	for i := range k.value.NumField() {
		f := k.value.Type().Field(i)
		name := f.Tag.Get("yaml")
		if name == "" {
			continue
		}
		if k.path != "" {
			name = k.path + "." + name
		}
		all = append(all, key{path: name, owner: k.value.Type().Name(), field: f.Name, value: k.value.Field(i)})
	}
	return all
}

// entry is the i-th of a list.
func (k key) entry(i int) key {
	return key{path: k.path + "[" + strconv.Itoa(i) + "]", owner: k.owner, field: k.field, value: k.value.Index(i)}
}

// unread returns what an entry of a list is before anything was read into it.
func unread(entry reflect.Type) reflect.Value {
	v := reflect.New(entry)
	if e, ok := v.Interface().(interface{ preset() }); ok {
		e.preset()
	}
	return v.Elem()
}

// variables lists every key below a section that a variable can set.
func (k key) variables() []key {
	var all []key
	for _, child := range k.keys() {
		if child.section() {
			all = append(all, child.variables()...)
		} else {
			all = append(all, child)
		}
	}
	return all
}

// names lists the paths of all that can stand below a section, seen from there, and what a list's entries could have as auth.grants[].role.
func (k key) names() []string {
	var all []string
	below := key{value: k.value}
	for _, child := range below.keys() {
		all = append(all, child.path)
		from, dot := child, "."
		if child.sections() {
			from, dot = key{value: reflect.New(child.value.Type().Elem()).Elem()}, "[]."
		}
		if from.section() {
			for _, name := range from.names() {
				all = append(all, child.path+dot+name)
			}
		}
	}
	return all
}

// own lists the names of a section's keys, without those below them.
func (k key) own() string {
	var names []string
	for _, child := range k.keys() {
		names = append(names, child.name())
	}
	return strings.Join(names, ", ")
}
