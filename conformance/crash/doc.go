// Package crash kills the true program (kill -9) at random moments and checks that everything it had promised is still true.
//
// A few writers push, tag, mount and delete over HTTP, each in repositories of its own, so that it is always known what each repository
// must hold; only the request that was under way when the program died may have happened or not, but never by halves. They also share
// blobs, and fight over one tag of a repository that belongs to all. After each kill the program is started again in the same folder and
// asked for everything that was touched, and for a sample of the rest. Every twenty rounds the store is checked whole: by asking for all
// of it, by `entrepot verify`, and by building its index anew from content and asking again; then a fresh store is begun.
//
// Beside that, others do the same with components, in half as many rounds: they push versions with an image and the packages of two architectures at once,
// attach documents and replace them, promote, roll back and withdraw, each what is its own, and fight over one component that belongs to all. After each
// kill rows, tags, moves, index files and apt suites are compared with what was acknowledged and with each other, suites by their signatures and hashes, as
// hosts do. At the end the index is built anew beside the one there is, after which everything is told as before; and from content alone, by a program that
// dies a few times over it, after which the same is deployed and published, only how it came there is not known any more.
//
//	go test ./conformance/crash                                    # 40 rounds, and 20 with components, about a minute
//	go test ./conformance/crash -crash.rounds=300 -timeout=30m     # or ENTREPOT_TEST_CRASH_ROUNDS=300
//	go test ./conformance/crash -crash.seed=7                      # the same writers' choices again; the kernel's timing is its own
package crash
