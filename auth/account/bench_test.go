package account

import (
	"testing"

	"github.com/entrepot/entrepot/auth"
)

// BenchmarkLogin measures a login with a secret, as it is when nothing is cached.
func BenchmarkLogin(b *testing.B) {
	s := open(b)
	s.robot(b, "ci-dmp")
	_, plain := s.secret(b, "robot:ci-dmp", PurposeSecret, "")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Login(b.Context(), "ci-dmp", plain); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAlive measures what is asked about each cached login when the epoch moved.
func BenchmarkAlive(b *testing.B) {
	s := open(b)
	s.user(b, "alice", "dev", "ops")
	s.robot(b, "ci-dmp")
	_, plain := s.secret(b, "robot:ci-dmp", PurposeSecret, "")
	for name, who := range map[string]auth.Identity{"user": s.login(b, "alice", password), "secret": s.login(b, "ci-dmp", plain)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Alive(b.Context(), who); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
