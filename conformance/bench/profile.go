package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// profile asks a server for a CPU profile of the coming seconds and writes it to dir. The returned function waits for it. A server that
// has no such handler gives none, which is said once.
func (b *bench) profile(ctx context.Context, s *server, name string) func() {
	if b.opt.pprof == "" || s.peer.name != ours || b.noProfiles {
		return func() {}
	}
	done := make(chan error, 1)
	go func() { done <- fetchProfile(ctx, s.addr, b.opt.seconds, filepath.Join(b.opt.pprof, name+".pprof")) }()
	return func() {
		if err := <-done; err != nil {
			b.noProfiles = true
			fmt.Fprintf(os.Stderr, "no CPU profiles: %v\n", err)
		}
	}
}

func fetchProfile(ctx context.Context, addr string, seconds float64, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration((seconds+30)*float64(time.Second)))
	defer cancel()
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", addr, max(1, int(seconds)))
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET /debug/pprof/profile: %s", res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 64*mib))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, body, 0o644)
}
