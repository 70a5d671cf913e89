package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const (
	envPrefix = "ENTREPOT_"
	envConfig = "ENTREPOT_CONFIG"
	envServer = "ENTREPOT_SERVER"
)

// configFileLimit is far above any configuration that a person writes; a wrong path may well name a disk image.
const configFileLimit = 1 << 20

// loadConfig returns the configuration of the file (path, else the one named by ENTREPOT_CONFIG, else none), with the environment's
// values over the file's and the file's over the defaults. The error names every fault with its file and line, or its variable.
func loadConfig(path string, environ []string) (Config, error) {
	if path == "" {
		path = (&app{environ: environ}).getenv(envConfig)
	}
	var text []byte
	if path != "" {
		var err error
		if text, err = readConfig(path); err != nil {
			return Config{}, fmt.Errorf("read configuration: %w", err)
		}
	}
	return parseConfig(path, text, environ)
}

func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, configFileLimit+1))
	if err != nil {
		return nil, err
	}
	if len(text) > configFileLimit {
		return nil, fmt.Errorf("%s is larger than %v, so it is hardly a configuration", path, Bytes(configFileLimit))
	}
	return text, nil
}

// parseConfig is loadConfig for the text of a file that has this name.
func parseConfig(name string, text []byte, environ []string) (Config, error) {
	c := defaultConfig()
	c.origin = newOrigins()
	l := &loader{whole: whole(&c), origins: c.origin}
	l.file(name, text)
	l.environment(environ)
	if l.broken {
		// What could not even be read would only be judged by its parts.
		return Config{}, fmt.Errorf("read configuration: %w", l.faults)
	}
	if all := append(l.faults, c.faults()...); len(all) > 0 {
		return Config{}, fmt.Errorf("read configuration: %w", all)
	}
	return c, nil
}

// loader gathers values and faults from the file and the environment.
type loader struct {
	whole   key
	origins origins
	faults  faults
	broken  bool // something is not YAML, or far too much of it
}

func (l *loader) file(name string, text []byte) {
	r := &reader{loader: l, name: name, lines: true, base: l.whole}
	if n, _ := r.parse(text); n != nil {
		r.section(l.whole, n)
	}
}

// environment reads the variables of the keys, and refuses one that looks like a key and is none.
func (l *loader) environment(environ []string) {
	byName := map[string]key{}
	var known []string
	for _, k := range l.whole.variables() {
		byName[k.env()] = k
		known = append(known, k.env())
	}
	slices.Sort(known)
	for _, v := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(v, "=")
		switch {
		case !strings.HasPrefix(name, envPrefix):
			continue
		case name == envConfig, name == envServer, name == envRobot, name == envSecret, name == envIDToken, name == "ENTREPOT_BIN", strings.HasPrefix(name, "ENTREPOT_TEST_"):
			continue // said to the client verbs and to the tests, not to the server
		}
		if k, ok := byName[name]; ok {
			l.variable(k, name, value)
		} else {
			l.faults.add(name, "unknown variable%s", didYouMean(name, known))
		}
	}
}

// variable sets a key from the environment: a list from YAML, of which JSON is a part, everything else from the text as it is.
func (l *loader) variable(k key, name, text string) {
	if !k.list() && !k.texts() {
		if err := k.setText(text); err != nil {
			l.faults.add(name, "%v", err)
			return
		}
		l.origins.take(k.path, name)
		return
	}
	r := &reader{loader: l, name: name, base: l.whole}
	n, ok := r.parse([]byte(text))
	if !ok {
		return
	}
	// It stands in the place of the file's list, whose entries are gone with everything that was known of them.
	k.value.SetZero()
	l.origins.forget(k.path)
	l.origins.take(k.path, name)
	if n != nil {
		r.read(k, n)
	}
}
