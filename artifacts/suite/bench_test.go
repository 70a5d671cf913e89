package suite

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// many returns packages as a company has them: services of many versions each, with dependencies and a description.
func many(n int, architecture string) []Package {
	random := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("service for the ingestion of data with a small cache and queue that reads writes streams metrics logs over http grpc in production clusters team platform")
	some := func(n int) string {
		var all []string
		for range n {
			all = append(all, words[random.IntN(len(words))])
		}
		return strings.Join(all, " ")
	}
	var packages []Package
	for i := range n {
		name, version := fmt.Sprintf("ms-%s-%d", words[i/10%len(words)], i/10), fmt.Sprintf("1.%d.%d-1", i%10, random.IntN(20))
		p := pkg(name, version, architecture)
		p.SHA256, p.Size = fmt.Sprintf("%x", sha256.Sum256([]byte(name+version))), random.Int64N(100<<20)+1
		p.Control = fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Team %s <team@example.com>\nInstalled-Size: %d\n"+
			"Depends: libc6 (>= 2.%d), adduser, ca-certificates\nSection: net\nPriority: optional\nHomepage: https://git.example.com/%s\n"+
			"Description: %s\n %s\n %s\n %s", name, version, architecture, some(1), p.Size>>10, random.IntN(36), name, some(5), some(10), some(10), some(10))
		packages = append(packages, p)
	}
	return packages
}

// onCPU reports the time that the processor spent, which tells more on a busy machine than the clock.
func onCPU(b *testing.B) {
	spent := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	began := spent()
	b.ReportAllocs()
	b.ResetTimer()
	b.Cleanup(func() { b.ReportMetric(float64((spent()-began).Milliseconds())/float64(b.N), "cpu-ms/op") })
}

func BenchmarkBuild(b *testing.B) {
	key := signer(b, noon)
	for _, c := range []struct {
		name         string
		packages     []Package
		added        Package
		architecture []string
	}{
		{"10000", many(10_000, "amd64"), pkg("ms-new", "1.0", "amd64"), []string{"amd64"}},
		{"10000 for all, two lists", many(10_000, "all"), pkg("ms-new", "1.0", "all"), []string{"amd64", "arm64"}},
		{"100000", many(100_000, "amd64"), pkg("ms-new", "1.0", "amd64"), []string{"amd64"}},
	} {
		s := cloud
		s.Architectures = c.architecture
		var full *Snapshot
		b.Run(c.name+"/full", func(b *testing.B) {
			onCPU(b)
			for range b.N {
				full = build1(b, s, c.packages, noon, nil, key)
			}
			for _, path := range []string{"", ".gz", ".xz"} {
				b.ReportMetric(float64(full.Files["dmp/binary-amd64/Packages"+path].Size), "bytes"+path)
			}
		})
		if full == nil { // left out by -bench
			continue
		}
		more := append(c.packages[:len(c.packages):len(c.packages)], c.added)
		b.Run(c.name+"/one added", func(b *testing.B) {
			onCPU(b)
			for range b.N {
				build1(b, s, more, noon, full, key)
			}
		})
		b.Run(c.name+"/none added", func(b *testing.B) {
			onCPU(b)
			for range b.N {
				build1(b, s, c.packages, noon, full, key)
			}
		})
	}
}
