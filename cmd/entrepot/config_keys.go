package main

import (
	"reflect"
	"strings"
)

// key is one line of the configuration: a value, or a section with keys of its own.
type key struct {
	path    string        // storage.disk.path
	owner   string        // the struct that has the field, and
	field   string        // the field's name there: where its sentence is found
	value   reflect.Value // settable when the configuration was given by pointer
	section bool
}

func (k key) name() string { return k.path[strings.LastIndexByte(k.path, '.')+1:] }
func (k key) depth() int   { return strings.Count(k.path, ".") }

// env returns the variable that sets the key: ENTREPOT_STORAGE_DISK_PATH.
func (k key) env() string { return envPrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_")) }

// keys lists c's keys in the order of the struct, each section before what it holds.
func keys(c *Config) []key {
	var all []key
	var walk func(v reflect.Value, prefix string)
	walk = func(v reflect.Value, prefix string) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name := f.Tag.Get("yaml")
			if name == "" {
				continue
			}
			k := key{path: prefix + name, owner: v.Type().Name(), field: f.Name, value: v.Field(i), section: f.Type.Kind() == reflect.Struct}
			all = append(all, k)
			if k.section {
				walk(k.value, k.path+".")
			}
		}
	}
	walk(reflect.ValueOf(c).Elem(), "")
	return all
}
