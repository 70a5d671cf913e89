package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/api"
	"github.com/entrepot/entrepot/registry/manage"
	"github.com/entrepot/entrepot/registry/retain"
	"github.com/entrepot/entrepot/registry/retain/collect"
	registrytransfer "github.com/entrepot/entrepot/registry/transfer"
)

func serveVerb(a *app) *cobra.Command {
	var config, listen, data string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the registry",
		Long: `Run the registry until it is told to stop (SIGTERM or Ctrl-C); transfers then get limits.drain to finish.

With no configuration at all it serves on 127.0.0.1:5000 and keeps everything under ./data. A configuration comes from the file named by
--config or ENTREPOT_CONFIG, then from ENTREPOT_… variables, then from the flags below.`,
		Example: "  entrepot serve\n  entrepot serve --config /etc/entrepot/config.yml\n  entrepot serve --listen 0.0.0.0:5000 --data /srv/registry",
		Args:    takes(0, 0),
	}
	f := cmd.Flags()
	f.StringVar(&config, "config", a.getenv("ENTREPOT_CONFIG"), "configuration file")
	f.StringVar(&listen, "listen", "", "address to listen on, instead of the configured one")
	f.StringVar(&data, "data", "", "folder to keep everything in, instead of the configured one")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		file := &configFile{path: config, environ: a.environ}
		c, err := file.load()
		if err != nil {
			return err
		}
		if listen != "" {
			c.Listen = listen
		}
		if data != "" {
			c.Data = data
		}
		if err := c.validate(); err != nil {
			return err
		}
		s, err := newServer(cmd.Context(), c, a.stderr)
		if err != nil {
			return err
		}
		s.file = file
		collectSeldom(a.getenv("GOGC"), roomForGarbage)
		s.welcome(a.stdout)
		return s.run(cmd.Context())
	}
	return cmd
}

// server is a registry about to serve: everything is open and the address is taken, so that what is wrong shows before the first request.
type server struct {
	config     Config
	log        *slog.Logger
	store      *store
	registry   *registry.Registry
	authority  *authority
	components *components
	scrubber   *registry.Scrubber
	schedule   *registrytransfer.Schedule // of backups; nil: there is none
	collector  *collect.Collector
	retention  *retain.Retention
	file       *configFile // what the configuration was read from
	listener   net.Listener
	http       *http.Server
	tracing    func(context.Context) error // ends it
	stopping   chan struct{}
}

func newServer(ctx context.Context, c Config, logTo io.Writer) (s *server, err error) {
	s = &server{config: c, log: newLog(c.Log, logTo), stopping: make(chan struct{})}
	slog.SetDefault(s.log) // for what runs beside the requests
	var open []func() error
	defer func() {
		if err != nil {
			for i := len(open) - 1; i >= 0; i-- {
				_ = open[i]()
			}
		}
	}()
	if s.listener, err = net.Listen("tcp", c.Listen); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("listen on %s: the address is in use; stop what uses it or choose another with listen, --listen or ENTREPOT_LISTEN", c.Listen)
		}
		return nil, fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	open = append(open, s.listener.Close)
	s.listener = door.Steady(s.listener, c.Limits.Stall)
	tlsConfig, err := newTLS(c.TLS, s.log)
	if err != nil {
		return nil, err
	}
	if s.store, err = openStore(ctx, c, s.log); err != nil {
		return nil, err
	}
	open = append(open, s.store.close)
	if err := registrytransfer.Unfinished(ctx, s.store.index); err != nil {
		return nil, err
	}
	if s.authority, err = openAuthority(ctx, c, s.store.index, s.log); err != nil {
		return nil, err
	}
	if s.components, err = openComponents(c, s.store.index, s.authority.service(), s.log); err != nil {
		return nil, err
	}
	stands := s.store.registryConfig(c, s.log)
	stands.Quotas = quotasOf(c)
	stands.Admissions = []registry.Admission{s.components.catalog}
	if s.registry, err = registry.Open(ctx, stands); err != nil {
		return nil, err
	}
	if err := s.components.catalog.Prepare(ctx, s.registry); err != nil {
		return nil, err
	}
	var measured *prometheus.Registry
	if c.Metrics {
		measured = prometheus.NewRegistry()
		measured.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	at := door.Config{
		Policy: &s.authority.policy, Local: s.authority.local, Identify: s.authority.identify, Carry: asCaller, URL: c.URL, Service: s.authority.service(), Stall: c.Limits.Stall, Log: s.log,
	}
	if measured != nil {
		at.Metrics = measured
	}
	routes, err := s.components.registryRoutes(c, s.registry)
	if err != nil {
		return nil, err
	}
	if s.components.mirrors, err = openMirrors(c, s.components.through, s.registry, s.store.index, s.log); err != nil {
		return nil, err
	}
	if s.schedule, err = openSchedule(c, s.store, s.log); err != nil {
		return nil, err
	}
	if measured != nil && s.schedule != nil {
		measureBackups(measured, s.schedule)
	}
	s.collector = collect.New(s.registry)
	if s.retention, err = openRetention(c, s.components, s.registry); err != nil {
		return nil, err
	}
	if s.scrubber, err = openScrubber(ctx, c, s.registry, s.components.through, s.log); err != nil {
		return nil, err
	}
	if measured != nil {
		measureScrubs(measured, s.scrubber)
		measured.MustRegister(quotaMetrics{s.registry})
	}
	routes = slices.Concat(routes, s.authority.routes(), s.components.routes(s.registry), manage.Routes(manage.Config{
		Backups: &registrytransfer.Backups{Index: s.store.index, Folder: c.Data},
		Mirrors: s.components.mirrors, Collector: s.collector, Retention: s.retention, Registry: s.registry, Scrubber: s.scrubber, Stopping: s.stopping,
	}))
	var handler http.Handler = door.New(at, routes...)
	if through := s.components.through; through != nil {
		s.authority.logins.UseUpstreams(loginsAt(callersOf(c.Upstreams), s.components.callers)...)
		names := api.Names{Known: through.Known, Here: func(r *http.Request, repo string) bool {
			return s.registry.Has(r.Context(), repo) || artifacts.Reserved(repo) != nil
		}}
		for _, u := range c.Upstreams {
			if u.Root {
				names.Root = u.Name
			}
		}
		handler = api.Namespaces(handler, names)
		if measured != nil {
			measureUpstreams(measured, through)
		}
	}
	if handler, s.tracing, err = traced(ctx, c.Tracing, handler); err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler:           s.routes(handler, measured),
		TLSConfig:         tlsConfig,
		Protocols:         protocols,
		ReadHeaderTimeout: 20 * time.Second, // a header is short; bodies are watched by the door
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // clients that break off in a handshake
	}
	return s, nil
}

// run serves until ctx ends, then lets transfers finish, and closes everything.
func (s *server) run(ctx context.Context) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { s.registry.Run(work) })
	background.Go(func() { s.components.catalog.Run(work) })
	background.Go(func() { s.scrubber.Run(work) })
	if s.schedule != nil {
		background.Go(func() { s.schedule.Run(work) })
	}
	if through := s.components.through; through != nil {
		background.Go(func() { through.Run(work) })
	}
	if s.components.mirrors != nil {
		background.Go(func() { s.components.mirrors.Run(work) })
	}
	background.Go(func() { s.collector.Run(work) })
	background.Go(func() { s.retention.Run(work) })
	background.Go(func() { s.authority.run(work, s.file) })
	served := make(chan error, 1)
	go func() {
		if s.http.TLSConfig != nil {
			served <- s.http.ServeTLS(s.listener, "", "")
		} else {
			served <- s.http.Serve(s.listener)
		}
	}()
	s.log.Info("serving", "address", s.listener.Addr().String(), "data", s.config.Data, "version", thisBuild().Version)
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		close(s.stopping)
		s.log.Info("stopping", "drain", s.config.Limits.Drain)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Limits.Drain)
		if err = s.http.Shutdown(last); errors.Is(err, context.DeadlineExceeded) {
			s.log.Warn("transfers were cut: they did not finish in time", "drain", s.config.Limits.Drain)
			err = s.http.Close()
		}
		cancel()
	}
	stopWork()
	background.Wait()
	if s.tracing != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		_ = s.tracing(last)
		cancel()
	}
	if closed := s.store.close(); err == nil {
		err = closed
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// welcome prints what to type next.
func (s *server) welcome(w io.Writer) {
	scheme, host := "http", s.listener.Addr().String()
	if s.http.TLSConfig != nil {
		scheme = "https"
	}
	url := scheme + "://" + host
	if s.config.URL != "" {
		url = strings.TrimSuffix(s.config.URL, "/")
		_, host, _ = strings.Cut(url, "://")
	}
	fmt.Fprintf(w, `Entrepôt serves at %s and keeps %s. Type next, in another terminal:

  docker tag my-image %s/cloud/dmp/ms-ingestion:1.0.2
  docker push %s/cloud/dmp/ms-ingestion:1.0.2
  %s ls %s

`, url, s.config.kept(), host, host, os.Args[0], host)
	s.authority.welcome(w, host)
}

func newLog(c Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // checked with the configuration
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
