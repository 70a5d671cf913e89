package suite

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/ulikunitz/xz/lzma"
)

// long returns packages whose list has many blocks.
func long(n int) []Package {
	var packages []Package
	for i := range n {
		p := pkg(fmt.Sprintf("long-%05d", i), "1.0", "amd64")
		p.Control += "\n ." + strings.Repeat(fmt.Sprintf("\n line %d, which no other package has: %x", i, sha256.Sum256([]byte(p.Name))), 8)
		packages = append(packages, p)
	}
	return packages
}

// blocks counts the blocks of a Packages.xz.
func blocks(t testing.TB, s *Snapshot) int {
	t.Helper()
	all, ok := xzIndex(s.Files["dmp/binary-amd64/Packages.xz"].Content)
	if !ok {
		t.Fatal("Packages.xz has no index that can be read")
	}
	return len(all)
}

func TestXZ_has_blocks_of_bounded_size_and_is_read_by_others(t *testing.T) {
	s := build1(t, cloud, long(1200), noon, nil)
	whole(t, s)
	f := s.Files["dmp/binary-amd64/Packages.xz"]
	all, ok := xzIndex(f.Content)
	if !ok || len(all) < 8 {
		t.Fatalf("%d blocks, %t, of a text of %d bytes", len(all), ok, s.Files["dmp/binary-amd64/Packages"].Size)
	}
	for i, b := range all {
		if b.size > maxBlock+4096 || b.size < minBlock && i < len(all)-1 {
			t.Errorf("block %d has %d bytes", i, b.size)
		}
	}
}

func TestXZ_never_grows_without_a_cut(t *testing.T) {
	packages := long(1200)
	for i := range packages { // as somebody could choose them who wants one block only
		packages[i].SHA256 = packages[i].SHA256[:63] + "1"
	}
	s := build1(t, cloud, packages, noon, nil)
	all, _ := xzIndex(s.Files["dmp/binary-amd64/Packages.xz"].Content)
	for i, b := range all {
		if b.size > maxBlock+4096 {
			t.Errorf("block %d has %d bytes", i, b.size)
		}
	}
	for i := range packages { // or blocks of one package each
		packages[i].SHA256 = packages[i].SHA256[:63] + "0"
	}
	s = build1(t, cloud, packages, noon, nil)
	if n, most := blocks(t, s), int(s.Files["dmp/binary-amd64/Packages"].Size)/minBlock+1; n > most {
		t.Errorf("%d blocks, want at most %d", n, most)
	}
}

// parts returns the hashes of the texts that a list is cut into.
func parts(t testing.TB, packages []Package) map[[sha256.Size]byte]bool {
	t.Helper()
	l := makeList(arranged(t, packages), "dmp", "amd64")
	all := map[[sha256.Size]byte]bool{}
	begin := 0
	for _, end := range l.cuts {
		all[sha256.Sum256(l.text[begin:end])] = true
		begin = end
	}
	return all
}

// One package more, less or another must not make more than a few blocks anew, wherever it stands.
func TestXZ_makes_only_the_blocks_around_a_change(t *testing.T) {
	packages := long(1500)
	had := parts(t, packages)
	s := build1(t, cloud, packages, noon, nil)
	if known := blocksOf(s.Files["dmp/binary-amd64/Packages"], s.Files["dmp/binary-amd64/Packages.xz"]); len(known) != len(had) || len(had) < 8 {
		t.Fatalf("%d of %d blocks can be used again", len(known), len(had))
	}
	total, changes := 0, 0
	for at := 0; at < len(packages); at += 500 {
		for name, changed := range map[string][]Package{
			"more":    append(packages[:len(packages):len(packages)], pkg(packages[at].Name+"x", "1.0", "amd64")),
			"less":    append(packages[:at:at], packages[at+1:]...),
			"another": append(append(packages[:at:at], pkg(packages[at].Name, "2.0", "amd64")), packages[at+1:]...),
		} {
			made := 0
			for hash := range parts(t, changed) {
				if !had[hash] {
					made++
				}
			}
			if made == 0 || made > 8 {
				t.Errorf("one package %s at %d made %d of %d blocks", name, at, made, len(had))
			}
			total, changes = total+made, changes+1
		}
	}
	if total > 2*changes {
		t.Errorf("%d changes made %d blocks, want hardly more than one each", changes, total)
	}
}

func TestXZ_takes_blocks_over(t *testing.T) {
	packages := long(400)
	l := makeList(arranged(t, packages), "dmp", "amd64")
	// The first block as nobody here would compress it: what it looks like afterwards tells where it came from.
	var odd bytes.Buffer
	odd.Write(xzBlockHeader)
	w, err := lzma.Writer2Config{DictCap: xzWindow, Properties: &lzma.Properties{LC: 0, LP: 2, PB: 0}}.NewWriter2(&odd)
	if err != nil {
		t.Fatal(err)
	}
	first := l.text[:l.cuts[0]]
	if _, err := w.Write(first); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := block{unpadded: uint64(odd.Len() + xzCheck), size: uint64(len(first))}
	b.raw = binary.LittleEndian.AppendUint32(pad(odd.Bytes()), crc32.ChecksumIEEE(first))
	packed, err := packXZ(l.text, l.cuts, map[[sha256.Size]byte]block{sha256.Sum256(first): b})
	if err != nil {
		t.Fatal(err)
	}
	before := build1(t, cloud, packages, noon, nil)
	before.put("dmp/binary-amd64/Packages.xz", packed)

	next := build1(t, cloud, append(packages, pkg("zzz", "1.0", "amd64")), noon, before)
	whole(t, next)
	if got := next.Files["dmp/binary-amd64/Packages.xz"].Content; !bytes.HasPrefix(got[xzHeader:], b.raw) {
		t.Error("the first block is made anew")
	}
}

func arranged(t testing.TB, packages []Package) []*entry {
	t.Helper()
	entries, err := arrange(packages)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestXZ_uses_no_block_that_is_not_what_it_was(t *testing.T) {
	s := build1(t, cloud, long(1000), noon, nil)
	text, packed := s.Files["dmp/binary-amd64/Packages"], s.Files["dmp/binary-amd64/Packages.xz"]
	if len(blocksOf(text, packed)) < 3 {
		t.Fatal("too few blocks to tell anything")
	}
	other := newFile(bytes.Replace(bytes.Clone(text.Content), []byte("Nothing at all"), []byte("nothing at all"), 1))
	if got := blocksOf(other, packed); got != nil {
		t.Errorf("%d blocks of another text", len(got))
	}
	longer := newFile(append(bytes.Clone(text.Content), "x"...))
	if got := blocksOf(longer, packed); got != nil {
		t.Errorf("%d blocks of a longer text", len(got))
	}
	shorter := newFile(text.Content[:len(text.Content)-1])
	if got := blocksOf(shorter, packed); got != nil {
		t.Errorf("%d blocks of a shorter text", len(got))
	}
}

// FuzzXZIndex reads files of true blocks, under the right hash, with anything behind them.
func FuzzXZIndex(f *testing.F) {
	s := build1(f, cloud, long(150), noon, nil)
	text, packed := s.Files["dmp/binary-amd64/Packages"], s.Files["dmp/binary-amd64/Packages.xz"].Content
	begin := len(packed) - xzFooter - 4*(int(binary.LittleEndian.Uint32(packed[len(packed)-8:]))+1)
	f.Add(packed[begin:])
	f.Add(packed[len(packed)-xzFooter:])
	f.Add([]byte(xzFlags + xzFooterMagic))
	if n := len(blocksOf(text, newFile(packed))); n < 2 {
		f.Fatalf("%d blocks are too few to tell anything", n)
	}
	f.Fuzz(func(t *testing.T, end []byte) {
		for hash, b := range blocksOf(text, newFile(append(packed[:begin:begin], end...))) {
			if b.size == 0 || b.unpadded > uint64(len(b.raw)) || hash == sha256.Sum256(nil) {
				t.Errorf("a block of %d bytes, %d of %d of them compressed", b.size, b.unpadded, len(b.raw))
			}
		}
	})
}
