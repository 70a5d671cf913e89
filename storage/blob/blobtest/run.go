// Package blobtest is the contract of package blob as tests: what blob.go promises, each driver shows by passing [Run].
//
//	func TestStore(t *testing.T) {
//		blobtest.Run(t, func(t testing.TB) blob.Store { return blob.NewMemory() })
//	}
//
// Drivers whose content outlives the process also pass [RunReopen]. [Faulty] is for the floors above: a store that fails where it is told.
// What only one driver can do or suffer (a full disk, a kill) is tested beside that driver.
package blobtest

import (
	"testing"

	"github.com/entrepot/entrepot/storage/blob"
)

// promise is one sentence of the contract and the test that holds a driver to it.
type promise struct {
	sentence string
	check    func(t *testing.T, s blob.Store)
}

// Run holds a driver to the contract, a subtest for each promise. open returns a store that is empty and nobody else's; it registers
// with t.Cleanup what must be cleaned up.
func Run(t *testing.T, open func(t testing.TB) blob.Store) {
	for _, promises := range [][]promise{appending, committing, reading, sweeping, quarantining, refusing, running, modelling} {
		for _, p := range promises {
			t.Run(p.sentence, func(t *testing.T) { p.check(t, open(t)) })
		}
	}
}
