package operations

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// stored pushes an image and a layer and returns what checks that they are still there.
func stored(t *testing.T, p *program.Program) (check func()) {
	t.Helper()
	reg, repo := wire.At(p.URL), wire.Repo(t)
	desc, body := reg.PushImage(t, repo, "here")
	layer := wire.Random(300 << 10)
	d := reg.PushBlob(t, repo, layer)
	return func() {
		t.Helper()
		for _, ref := range []string{"here", desc.Digest.String()} {
			if got := reg.Do(t, "GET", wire.ManifestPath(repo, ref), nil).Want(t, 200); !bytes.Equal(got.Body, body) {
				t.Errorf("%s: other bytes", got.Asked)
			}
		}
		if got := reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200); !bytes.Equal(got.Body, layer) {
			t.Errorf("%s: other bytes", got.Asked)
		}
		reg.Do(t, "HEAD", wire.BlobPath(repo, d), nil).Want(t, 200)
		reg.Do(t, "GET", "/v2/"+repo+"/tags/list", nil).Want(t, 200)
	}
}

// noRoom ends the test unless the reply says that there is no room, and when to come again.
func noRoom(t *testing.T, reply wire.Reply) {
	t.Helper()
	reply.Want(t, 507, 503)
	if reply.Header.Get("Retry-After") == "" {
		t.Errorf("%s: %d without Retry-After", reply.Asked, reply.Status)
	}
	var envelope struct{ Errors []wire.Fault }
	if reply.JSON(t, &envelope); len(envelope.Errors) != 1 || envelope.Errors[0].Code == "" || len(envelope.Errors[0].Detail) == 0 {
		t.Errorf("%s: %s", reply.Asked, reply.Excerpt())
	}
}

// limitFiles sets how large a file the program may write from now on. It is the one full disk that everybody can have.
func limitFiles(t *testing.T, p *program.Program, size uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if _, _, no := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.PID()), syscall.RLIMIT_FSIZE, 0, uintptr(unsafe.Pointer(&limit)), 0, 0); no != 0 {
		t.Fatal(no)
	}
	if size == 0 {
		size = limit.Max
	}
	limit.Cur = size
	if _, _, no := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.PID()), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0); no != 0 {
		t.Fatal(no)
	}
}

func sound(t *testing.T, p *program.Program) {
	t.Helper()
	p.Stop()
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d\n%s", status, p.Log())
	}
	if out, err := p.CLI("verify"); err != nil {
		t.Errorf("entrepot verify: %v\n%s", err, out)
	}
}

// Content for which there is no room is refused, whichever way it comes; what is smaller, and everything that was there, goes on as before.
func TestFull_Content(t *testing.T) {
	p := program.Start(t)
	reg, repo := wire.At(p.URL), wire.Repo(t)
	check := stored(t, p)
	big := wire.Random(3 << 20)
	d := digest.FromBytes(big)
	limitFiles(t, p, 1<<20)
	noRoom(t, reg.Do(t, "POST", wire.With(wire.UploadsPath(repo), "digest", d.String()), big, "Content-Type", wire.Octets))
	noRoom(t, reg.Close(t, reg.Begin(t, repo), d, big))
	loc := reg.Begin(t, repo)
	noRoom(t, reg.Patch(t, loc, 0, big))
	reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 404)
	check()
	// The index is a file too, and has not grown beyond the limit yet: what lies in it may be refused, but not with less than an answer.
	reg.Do(t, "POST", wire.With(wire.UploadsPath(repo), "digest", digest.FromString("small").String()), []byte("small"), "Content-Type", wire.Octets).Want(t, 201, 507, 503)
	limitFiles(t, p, 0)
	stored(t, p)()
	check()
	// The upload goes on where it stopped.
	status := reg.Do(t, "GET", loc, nil).Want(t, 204)
	var last int
	if _, err := fmt.Sscanf(status.Header.Get("Range"), "0-%d", &last); err != nil || last+1 > len(big) {
		t.Fatalf("Range %q", status.Header.Get("Range"))
	}
	if last > 0 {
		last++
	}
	reg.Close(t, loc, d, big[last:]).Want(t, 201)
	if got := reg.Do(t, "GET", wire.BlobPath(repo, d), nil).Want(t, 200); !bytes.Equal(got.Body, big) {
		t.Error("other bytes")
	}
	sound(t, p)
}

// An index without room refuses what would change it, and reads go on; no request is left without an answer and the program lives.
func TestFull_Index(t *testing.T) {
	p := program.Start(t)
	reg, repo := wire.At(p.URL), wire.Repo(t)
	check := stored(t, p)
	limitFiles(t, p, 4<<10)
	for n := range 20 {
		body := []byte(fmt.Sprintf("%d: %s", n, bytes.Repeat([]byte("x"), 8<<10)))
		noRoom(t, reg.Do(t, "POST", wire.With(wire.UploadsPath(repo), "digest", digest.FromBytes(body).String()), body, "Content-Type", wire.Octets))
		check()
	}
	noRoom(t, reg.Do(t, "POST", wire.UploadsPath(repo), []byte{}))
	reg.Do(t, "GET", "/healthz", nil).Want(t, 200)
	limitFiles(t, p, 0)
	stored(t, p)()
	check()
	sound(t, p)
}

// ownFilesystem returns the words that start a program with a small filesystem at its data folder, in a mount namespace of its own; nil
// where this machine does not allow that.
func ownFilesystem(t *testing.T, size, dir string) []string {
	t.Helper()
	script := `mount -t tmpfs -o size=` + size + ` tmpfs "$0" && exec "$@"`
	for _, how := range [][]string{{"unshare", "--mount"}, {"unshare", "--user", "--map-root-user", "--mount"}} {
		argv := append(how, "sh", "-c", script, dir)
		if exec.Command(argv[0], append(argv[1:], "true")...).Run() == nil {
			return argv
		}
	}
	return nil
}

// The same on a filesystem that is truly full, with content and index on it.
func TestFull_Filesystem(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	argv := ownFilesystem(t, "16m", data)
	if argv == nil {
		t.Log("this machine lets the test make no filesystem of its own; TestFull_Content and TestFull_Index stand for it")
		return
	}
	p := program.Start(t, program.In(dir), program.Under(argv...))
	reg, repo := wire.At(p.URL), wire.Repo(t)
	check := stored(t, p)
	inside := filepath.Join("/proc", fmt.Sprint(p.PID()), "root", data)

	push := func(size int) wire.Reply {
		content := wire.Random(size)
		return reg.Do(t, "POST", wire.With(wire.UploadsPath(repo), "digest", digest.FromBytes(content).String()), content, "Content-Type", wire.Octets)
	}
	noRoom(t, push(32<<20))
	check()
	push(100<<10).Want(t, 201) // and what was received of it was removed
	fill(t, filepath.Join(inside, "ballast"))
	for n := range 60 { // the index may have a few free pages left
		reply := push(8 << 10)
		if reply.Status != 201 {
			noRoom(t, reply)
		}
		if n%10 == 0 {
			noRoom(t, push(200<<10))
			put := reg.Put(t, repo, fmt.Sprint("v", n), ocispec.MediaTypeImageIndex, wire.JSON(wire.Index()))
			if put.Status != 201 {
				noRoom(t, put)
			}
			check()
		}
	}
	noRoom(t, push(12<<10))
	reg.Do(t, "GET", "/metrics", nil).Want(t, 200)
	select {
	case <-p.Ended():
		t.Fatalf("the program ended:\n%s", p.Log())
	default:
	}
	if err := os.Remove(filepath.Join(inside, "ballast")); err != nil {
		t.Fatal(err)
	}
	push(1<<20).Want(t, 201)
	stored(t, p)()
	check()
	// The filesystem goes with the process, so its content is looked at before.
	saved := filepath.Join(t.TempDir(), "saved")
	p.Signal(syscall.SIGSTOP)
	err := os.CopyFS(filepath.Join(saved, "data"), os.DirFS(inside))
	p.Signal(syscall.SIGCONT)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program.Build(t), "verify")
	cmd.Dir = saved
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("entrepot verify: %v\n%s", err, out)
	}
	p.Stop()
	if status := p.Status(); status != 0 {
		t.Errorf("exit status %d\n%s", status, p.Log())
	}
}

// fill writes until there is no room for another byte.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if _, err := io.CopyN(f, zeros{}, 1<<10); err != nil {
			return
		}
	}
	t.Fatal("the filesystem is not full after 20 s")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
