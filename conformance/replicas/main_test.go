//go:build backends

package replicas

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// behind names, in the environment of a child of this process, the replicas that it shall pass requests on to. Such a child stands in for the program where a
// suite starts one itself.
const behind = "ENTREPOT_TEST_REPLICAS"

func TestMain(m *testing.M) {
	if to := os.Getenv(behind); to != "" {
		if err := standIn(strings.Split(to, ",")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// Most tests mostly wait: for leases, for claims, for the pauses between tries. -parallel on the command line has the last word.
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// standIn serves where the program would, until it is told to stop.
func standIn(to []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	l, err := net.Listen("tcp", os.Getenv("ENTREPOT_LISTEN"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: newRound(to)}
	go func() { _ = server.Serve(l) }()
	<-ctx.Done()
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if server.Shutdown(last) != nil {
		return server.Close()
	}
	return nil
}
