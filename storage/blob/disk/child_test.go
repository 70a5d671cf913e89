package disk_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob/disk"
)

// Some things can be done only to a process of one's own: to kill it, or to narrow its limits. The test binary is that process too,
// when the environment names its part.
const (
	partVariable = "DISK_TEST_PART"
	dirVariable  = "DISK_TEST_DIR"
)

var parts = map[string]func(dir string) error{
	"crash": pushForever,
}

func TestMain(m *testing.M) {
	part, found := parts[os.Getenv(partVariable)]
	if !found {
		os.Exit(m.Run())
	}
	if err := part(os.Getenv(dirVariable)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child returns the test binary about to play a part in dir.
func child(part, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), partVariable+"="+part, dirVariable+"="+dir)
	return cmd
}

// push stores content and returns its digest.
func push(s *disk.Store, name string, content []byte) (digest.Digest, error) {
	d := digest.FromBytes(content)
	if _, err := s.Append(context.Background(), name, 0, bytes.NewReader(content)); err != nil {
		return "", err
	}
	return d, s.Commit(context.Background(), name, d)
}
