//go:build backends

package postgres_test

import (
	"fmt"
	"hash/fnv"
	"sync/atomic"
	"testing"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
	"github.com/entrepot/entrepot/storage/kv/postgres"
	"github.com/entrepot/entrepot/storage/kv/postgres/postgrestest"
)

func open(t testing.TB, config postgres.Config) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// fresh returns a function that opens an empty index of its own in one database.
func fresh(url string, config postgres.Config) func(t testing.TB) kv.DB {
	var n atomic.Int64
	config.URL = url
	return func(t testing.TB) kv.DB {
		config := config
		config.Table = fmt.Sprintf("index_%d", n.Add(1))
		return open(t, config)
	}
}

// TestPostgres runs everything on one server, as to make one takes a while.
func TestPostgres(t *testing.T) {
	server := postgrestest.Start(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *postgrestest.Server)
	}{
		{"contract", testContract},
		{"contract across replicas", testReplicas},
		{"replicas that start together", testReplicasThatStartTogether},
		{"round trips", testRoundTrips},
		{"open refuses what cannot work", testOpenRefusesWhatCannotWork},
		{"schema", testSchema},
		{"errors of the server", testErrorsOfTheServer},
		{"connection lost in a transaction", testConnectionLostInATransaction},
		{"connections that run out", testConnectionsThatRunOut},
		{"commit whose answer is lost", testCommitWhoseAnswerIsLost},
		{"restart under load", testRestartUnderLoad},
		{"server that is away", testServerThatIsAway},
		{"server that hangs", testServerThatHangs},
		{"snapshot whose connection is lost", testSnapshotWhoseConnectionIsLost},
		{"snapshots leave the pool to others", testSnapshotsLeaveThePoolToOthers},
		{"close ends a snapshot", testCloseEndsASnapshot},
		{"size is asked for once a minute", testSizeIsAskedForOnceAMinute},
		{"secrets are not logged", testSecretsAreNotLogged},
		{"listen hears what others notify", testListenHearsWhatOthersNotify},
		{"listen goes on after its connection was lost", testListenGoesOnAfterItsConnectionWasLost},
		{"lead passes from one to the next", testLeadPassesFromOneToTheNext},
		{"lead that is lost", testLeadThatIsLost},
		{"lead notices a silent server", testLeadNoticesASilentServer},
	} {
		t.Run(c.name, func(t *testing.T) {
			server.Continue(t) // the one before may have failed while it was stopped
			c.test(t, server)
		})
	}
}

func testContract(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	kvtest.Run(t, fresh(url, postgres.Config{}))
	kvtest.RunSnapshots(t, fresh(server.Database(t), postgres.Config{}))
	kvtest.RunReopen(t, func(t testing.TB, dir string) kv.DB {
		name := fnv.New64a()
		_, _ = name.Write([]byte(dir))
		return open(t, postgres.Config{URL: url, Table: fmt.Sprintf("reopen_%x", name.Sum64())})
	})
}
