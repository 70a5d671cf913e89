package kv_test

import (
	"testing"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
)

func openMemory(testing.TB) kv.DB { return kv.NewMemory() }

func TestMemory(t *testing.T) { kvtest.Run(t, openMemory) }

func TestMemory_snapshots(t *testing.T) { kvtest.RunSnapshots(t, openMemory) }

func BenchmarkMemory(b *testing.B) { kvtest.Bench(b, openMemory) }
