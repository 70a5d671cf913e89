package proxy

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets many cells of the matrix run at a time: they wait for an upstream that hangs more than they work.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "24"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
