package deb_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ulikunitz/xz"

	"github.com/entrepot/entrepot/artifacts/deb"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
)

func read(file []byte) (*deb.Package, error) { return deb.Read(bytes.NewReader(file), deb.Limits{}) }

func TestRead(t *testing.T) {
	spec := debtest.Spec{
		Package: "hello", Version: "1:2.10-3", Arch: "arm64", Depends: "libc6 (>= 2.36), libx:any | liby (<< 2~)", More: "Multi-Arch: foreign\nX-Own: 1\n",
		Files: map[string]string{"usr/share/hello/text": "hello\n"}, Scripts: map[string]string{"postinst": "#!/bin/sh\nexit 1\n"},
	}
	for _, spec.Compression = range []string{"", "gz", "xz", "zst"} {
		file := debtest.Build(spec)
		for name, r := range map[string]io.Reader{"whole": bytes.NewReader(file), "in bytes": iotest.OneByteReader(bytes.NewReader(file)), "with its end": iotest.DataErrReader(bytes.NewReader(file))} {
			pkg, err := deb.Read(r, deb.Limits{})
			if err != nil {
				t.Errorf("%q %s: %v", spec.Compression, name, err)
				continue
			}
			c := pkg.Control
			got := []string{c.Package(), c.Version().String(), c.Architecture(), c.Maintainer(), c.Depends(), c.Description(), c.Get("multi-arch"), c.Get("x-OWN"), c.Get("X-None"), c.Filename(), c.Text}
			want := []string{"hello", "1:2.10-3", "arm64", "A Team <team@example.com>", spec.Depends, "a package for a test\n It was made by a test.\n .\n It does nothing.", "foreign", "1", "", "hello_2.10-3_arm64.deb", spec.Text()}
			if !slices.Equal(got, want) {
				t.Errorf("%q %s: read\n%q, want\n%q", spec.Compression, name, got, want)
			}
			data := "data.tar"
			if spec.Compression != "" {
				data += "." + spec.Compression
			}
			if pkg.Size != int64(len(file)) || !slices.Equal(pkg.Files, []string{"md5sums", "postinst"}) || pkg.Data != data || len(c.Warnings) > 0 {
				t.Errorf("%q %s: read %+v", spec.Compression, name, pkg)
			}
		}
	}
}

// What deb(5) leaves open is left open here.
func TestRead_takes_what_the_format_allows(t *testing.T) {
	slash := func(m member) member { m.Name += "/"; return m }
	for name, members := range map[string][]member{
		"a later minor version":    {{Name: "debian-binary", Body: []byte("2.17\nmore\n")}, control(), data},
		"members to be ignored":    {format, {Name: "_a", Body: []byte("x")}, control(), {Name: "_b", Body: []byte("xyz")}, data, {Name: "_gpgorigin", Body: []byte("x")}, {Name: "later"}},
		"names with a slash":       {slash(format), slash(control()), slash(data)},
		"several compressions":     {format, packed("zst", control()), packed("gz", data)},
		"data in lzma":             {format, control(), packed("lzma", data)},
		"data in bzip2":            {format, control(), {Name: "data.tar.bz2", Body: []byte("BZh9 is not looked at")}},
		"the folder itself":        {format, controlOf(entry{Name: "./"}, entry{Name: "control", Body: debtest.Spec{}.Text()}), data},
		"headers without numbers":  {headed(strings.Replace(debtest.Header("debian-binary", "4"), "1767225600  0     0     100644", strings.Repeat(" ", 30), 1), "2.0\n"), control(), data},
		"two pieces of gzip":       {format, {Name: "control.tar.gz", Body: append(debtest.Pack("gz", control().Body[:700]), debtest.Pack("gz", control().Body[700:])...)}, data},
		"a dictionary of 4 GiB":    {format, spoil(packed("xz", control()), greedy), data},
		"zstd with a wide window":  {format, wide(), data},
		"tar as Python makes it":   {format, pax(tar.Header{Typeflag: tar.TypeReg, Name: "./control", ModTime: time.Unix(1, 5)}), data},
		"a control file of 1 MiB":  {format, controlOf(entry{Name: "./control", Body: debtest.Spec{}.Text() + strings.Repeat(" x\n", (1<<20-len(debtest.Spec{}.Text()))/3)}), data},
		"a script of 15 MiB":       {format, control(entry{Name: "./config", Body: strings.Repeat("x", 15<<20)}), data},
		"as many files as allowed": {format, control(many(255)...), data},
	} {
		pkg, err := read(debtest.Ar(members...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if pkg.Control.Package() != "hello" {
			t.Errorf("%s: read %q", name, pkg.Control.Text)
		}
	}
}

// pax is a control.tar in the format of POSIX, with the control file under a header.
func pax(headers ...tar.Header) member {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	text := debtest.Spec{}.Text()
	for _, h := range headers {
		h.Format = tar.FormatPAX
		if h.Typeflag == tar.TypeReg {
			h.Mode, h.Size = 0o644, int64(len(text))
		}
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if h.Typeflag == tar.TypeReg {
			_, _ = io.WriteString(w, text)
		}
	}
	_ = w.Close()
	return member{Name: "control.tar", Body: b.Bytes()}
}

// noise is text that does not compress.
func noise(n int) string {
	b, random := make([]byte, n), rand.NewChaCha8([32]byte{})
	_, _ = random.Read(b)
	return string(b)
}

// wide is a control.tar.zst that asks for a window of 128 MiB, as zstd -22 does: a frame of one block, which is not compressed.
func wide() member {
	body := control().Body
	head := []byte("\x28\xb5\x2f\xfd\x00\x88")
	head = append(head, byte(1|len(body)<<3), byte(len(body)>>5), byte(len(body)>>13))
	return member{Name: "control.tar.zst", Body: append(head, body...)}
}

func TestRead_says_what_is_wrong(t *testing.T) {
	for _, c := range slices.Concat(broken(), oversized()) {
		_, err := read(c.file)
		var fault *deb.Error
		if !errors.As(err, &fault) || err.Error() != c.want {
			t.Errorf("%s:\n%v\nwant\n%s", c.name, err, c.want)
		}
	}
}

func TestRead_keeps_to_the_limits(t *testing.T) {
	file := debtest.Build(debtest.Spec{Scripts: map[string]string{"config": strings.Repeat("x", 3000)}, Compression: "gz"})
	for want, limits := range map[string]deb.Limits{
		"":                          {Size: int64(len(file))},
		"longer than":               {Size: int64(len(file)) - 1},
		"more than 2 members":       {Members: 2},
		"more than 100 bytes":       {Packed: 100},
		"unpacks to more than":      {Unpacked: 3000},
		"more than 1 files":         {Entries: 1},
		"control file of 165 bytes": {Control: 100},
	} {
		_, err := deb.Read(bytes.NewReader(file), limits)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("with %+v: %v, want %q", limits, err, want)
		}
	}
	bomb := debtest.Ar(format, bomb("gz", 20<<20), data)
	if _, err := deb.Read(bytes.NewReader(bomb), deb.Limits{Ratio: 2000, Unpacked: 64 << 20}); err != nil {
		t.Errorf("with higher limits: %v", err)
	}
}

// A file that was cut anywhere is refused, and never for a reason that would not be one.
func TestRead_refuses_a_part_of_a_package(t *testing.T) {
	for _, compression := range []string{"", "gz", "xz", "zst"} {
		file := debtest.Build(debtest.Spec{Compression: compression, Files: map[string]string{"a": "b"}})
		for n := range file {
			pkg, err := read(file[:n])
			var fault *deb.Error
			if !errors.As(err, &fault) {
				t.Fatalf("%q cut to %d of %d bytes: %+v, %v", compression, n, len(file), pkg, err)
			}
			early := strings.Contains(err.Error(), "too early") || strings.Contains(err.Error(), "has no") || strings.Contains(err.Error(), "is empty") ||
				strings.Contains(err.Error(), "begins with") || strings.Contains(err.Error(), "instead of 60")
			if !early {
				t.Fatalf("%q cut to %d of %d bytes: %v", compression, n, len(file), err)
			}
		}
	}
}

// What the reader of a body says (that the client is gone, that the digest is another) reaches the caller, and is no fault of the package.
func TestRead_passes_the_reader_s_own_failure_on(t *testing.T) {
	gone := errors.New("the client is gone")
	for compression, step := range map[string]int{"": 7, "gz": 1, "xz": 1, "zst": 1} {
		file := debtest.Build(debtest.Spec{Compression: compression, Files: map[string]string{"a": "b"}})
		for n := 0; n <= len(file); n += step {
			for _, cause := range []error{gone, io.ErrUnexpectedEOF} {
				_, err := deb.Read(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(cause)), deb.Limits{})
				var fault *deb.Error
				if !errors.Is(err, cause) || errors.As(err, &fault) {
					t.Fatalf("%q failed after %d bytes with %v: %v", compression, n, cause, err)
				}
			}
		}
	}
}

// A changed byte of an .xz is seen, or changes nothing.
func TestRead_sees_changed_bytes_of_xz(t *testing.T) {
	good := packed("xz", control(entry{Name: "./md5sums"}))
	unseen := 0
	for i := range good.Body {
		for _, bits := range []byte{1, 0x80, 0xff} {
			pkg, err := read(debtest.Ar(format, spoil(good, func(b []byte) []byte { b[i] ^= bits; return b }), data))
			if err != nil {
				continue
			}
			if unseen++; pkg.Control.Text != (debtest.Spec{}).Text() || !slices.Equal(pkg.Files, []string{"md5sums"}) {
				t.Fatalf("byte %d of %d changed by %#x: read %+v", i, len(good.Body), bits, pkg)
			}
		}
	}
	if unseen > 6 { // the packed length of a piece of LZMA2 may be too high
		t.Errorf("%d changes were not seen", unseen)
	}
}

func packXZ(t testing.TB, config xz.WriterConfig, body []byte) member {
	t.Helper()
	var b bytes.Buffer
	w, err := config.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return member{Name: "control.tar.xz", Body: b.Bytes()}
}

func TestRead_knows_xz_in_all_its_forms(t *testing.T) {
	body := control(entry{Name: "./config", Body: noise(20_000) + strings.Repeat("x", 20_000)}).Body
	for name, config := range map[string]xz.WriterConfig{
		"no sum":             {NoCheckSum: true},
		"CRC32":              {CheckSum: xz.CRC32},
		"CRC64":              {CheckSum: xz.CRC64},
		"SHA-256":            {CheckSum: xz.SHA256},
		"blocks":             {BlockSize: int64(len(body)/64 + 1), DictCap: 1 << 16, CheckSum: xz.CRC32},
		"a small window":     {DictCap: 1 << 16},
		"a block on its own": {BlockSize: int64(len(body))},
	} {
		if pkg, err := read(debtest.Ar(format, packXZ(t, config, body), data)); err != nil || !slices.Equal(pkg.Files, []string{"config"}) {
			t.Errorf("%s: %+v, %v", name, pkg, err)
		}
	}
	_, err := read(debtest.Ar(format, packXZ(t, xz.WriterConfig{BlockSize: int64(len(body)/66 + 1), DictCap: 1 << 16}, body), data))
	if err == nil || !strings.Contains(err.Error(), "more than 64 blocks") {
		t.Errorf("too many blocks: %v", err)
	}
}

// However much a package asks for, reading it takes little memory: the bombs, and windows of gigabytes.
func TestRead_takes_little_memory(t *testing.T) {
	files := map[string][]byte{
		"a dictionary of 4 GiB":   debtest.Ar(format, spoil(packed("xz", control()), greedy), data),
		"zstd with a wide window": debtest.Ar(format, wide(), data),
		"10 MiB of data":          debtest.Build(debtest.Spec{Files: map[string]string{"a": strings.Repeat("x", 10<<20)}}),
	}
	for _, c := range oversized() {
		files[c.name] = c.file
	}
	for name, file := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = read(file)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 12<<20 {
			t.Errorf("%s: %d KiB were taken, want no more than 12 MiB", name, took>>10)
		}
	}
}

// A package may say of itself what it likes, but not twice in different words.
func FuzzRead(f *testing.F) {
	for _, compression := range []string{"", "gz", "xz", "zst"} {
		f.Add(debtest.Build(debtest.Spec{Compression: compression}))
	}
	for _, c := range broken() {
		f.Add(c.file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		pkg, err := read(file)
		if err != nil {
			var fault *deb.Error
			if !errors.As(err, &fault) || fault.Where == "" || fault.What == "" || fault.Fix == "" {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		again, err := deb.ParseControl(pkg.Control.Text)
		if err != nil || again.Text != pkg.Control.Text || pkg.Size != int64(len(file)) || again.Filename() != pkg.Control.Filename() {
			t.Fatalf("read %+v, and again %+v, %v", pkg, again, err)
		}
		if strings.ContainsAny(again.Filename(), "/\\ \n\x00") {
			t.Fatalf("the file would be called %q", again.Filename())
		}
	})
}

// The same for what is in control.tar, with the sums of an .xz put right, so that they do not hide the rest.
func FuzzRead_control(f *testing.F) {
	for i, ext := range []string{"", "gz", "xz", "zst"} {
		f.Add(uint8(i), debtest.Pack(ext, control(entry{Name: "./"}, entry{Name: "./md5sums", Body: "x"}).Body))
	}
	f.Add(uint8(3), wide().Body)
	f.Fuzz(func(t *testing.T, i uint8, body []byte) {
		m := member{Name: "control.tar" + []string{"", ".gz", ".xz", ".zst"}[i%4], Body: body}
		if i%4 == 2 {
			m = spoil(m, mend)
		}
		pkg, err := read(debtest.Ar(format, m, data))
		var fault *deb.Error
		if err != nil && !errors.As(err, &fault) {
			t.Fatalf("an error of another kind: %v", err)
		}
		if err == nil && (pkg.Control.Package() == "" || slices.ContainsFunc(pkg.Files, func(name string) bool { return strings.Contains(name, "/") })) {
			t.Fatalf("read %+v", pkg)
		}
	})
}

// mend puts the sums of the first two headers of an .xz right.
func mend(b []byte) []byte {
	if len(b) < 13 {
		return b
	}
	binary.LittleEndian.PutUint32(b[8:], crc32.ChecksumIEEE(b[6:8]))
	if end := 12 + (int(b[12])+1)*4; end <= len(b) {
		binary.LittleEndian.PutUint32(b[end-4:], crc32.ChecksumIEEE(b[12:end-4]))
	}
	return b
}

func BenchmarkRead(b *testing.B) {
	files := member{Name: "data.tar", Body: bytes.Repeat([]byte("x"), 10<<20)}
	for _, compression := range []string{"gz", "xz", "zst"} {
		file := debtest.Ar(format, packed(compression, control()), files)
		b.Run(compression, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := read(file); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
