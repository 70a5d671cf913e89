package main

import (
	_ "embed"
	"time"
)

// source is this file. `config example` prints the sentences above the fields below, so the example cannot say anything else.
//
//go:embed config.go
var source string

// Config is how a registry is set up. Every field is optional.
type Config struct {
	// Where the registry listens, as host:port. An empty host means every address of the machine, port 0 any free one.
	Listen string `yaml:"listen"`

	// How clients reach the registry when that is not where it listens, as behind a proxy: https://registry.example.com.
	URL string `yaml:"url"`

	// The folder of everything that is kept, unless a section below says otherwise.
	Data string `yaml:"data"`

	// Serving over TLS.
	TLS TLS `yaml:"tls"`

	// Where content lives.
	Storage Storage `yaml:"storage"`

	// Where names, tags and everything else about content live.
	Index Index `yaml:"index"`

	// Who may do what.
	Auth Auth `yaml:"auth"`

	// How much, and how long.
	Limits Limits `yaml:"limits"`

	// What is told to the operator.
	Log Log `yaml:"log"`

	// Serve measurements for Prometheus at /metrics.
	Metrics bool `yaml:"metrics"`

	// Serve Go's profiles at /debug/pprof, for developers. Only with a loopback address.
	Profiles bool `yaml:"profiles"`

	// Where requests are traced to.
	Tracing Tracing `yaml:"tracing"`

	// Let clients delete content. With false, every DELETE of content is answered 405.
	Deletes bool `yaml:"deletes"`

	origin map[string]string // key → where its value was given ("config.yml:12", "ENTREPOT_LISTEN"), to name that in a fault
}

// TLS is how connections are encrypted; the files are read again when they change.
type TLS struct {
	// The certificate chain, a PEM file. With it and the key, the registry speaks HTTPS only.
	Cert string `yaml:"cert"`

	// The certificate's private key, a PEM file.
	Key string `yaml:"key"`

	// The authorities whose client certificates are asked for, a PEM file.
	ClientCA string `yaml:"clientCA"`
}

// Storage says where content lives.
type Storage struct {
	// Content in files.
	Disk Disk `yaml:"disk"`
}

// Disk keeps content in a folder.
type Disk struct {
	// The folder. Empty means data itself.
	Path string `yaml:"path"`
}

// Index says where metadata lives.
type Index struct {
	// Metadata in one file.
	Bolt Bolt `yaml:"bolt"`
}

// Bolt keeps metadata in a file.
type Bolt struct {
	// The file. Empty means index.db in data.
	Path string `yaml:"path"`
}

// Auth says who may do what.
type Auth struct {
	// What somebody without a name may do: none, pull, or full (everything, to everybody: for trusted networks).
	// Empty means everything when listening on a loopback address, and nothing otherwise.
	Anonymous string `yaml:"anonymous"`
}

// Limits bound what one client can take.
type Limits struct {
	// The largest manifest that is accepted.
	ManifestBytes Bytes `yaml:"manifestBytes"`

	// How long an unfinished upload is kept after it last grew.
	UploadTTL time.Duration `yaml:"uploadTTL"`

	// How long transfers get to finish when the registry is told to stop.
	Drain time.Duration `yaml:"drain"`

	// How long a transfer may stand still before it is cut. One that moves is never cut, however slow it is.
	Stall time.Duration `yaml:"stall"`
}

// Log is what the registry writes to standard error.
type Log struct {
	// The least that is worth a line: debug, info, warn or error.
	Level string `yaml:"level"`

	// How a line is written: text or json.
	Format string `yaml:"format"`
}

// Tracing sends spans to a collector.
type Tracing struct {
	// The collector's OTLP/HTTP address, such as http://127.0.0.1:4318. Empty means no tracing.
	Endpoint string `yaml:"endpoint"`
}

// defaultConfig is a registry for the machine it runs on, with everything in one folder.
func defaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:5000",
		Data:   "./data",
		Limits: Limits{
			ManifestBytes: 4 << 20,
			UploadTTL:     24 * time.Hour,
			Drain:         30 * time.Second,
			Stall:         2 * time.Minute,
		},
		Log:     Log{Level: "info", Format: "text"},
		Metrics: true,
		Deletes: true,
	}
}
