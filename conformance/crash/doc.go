// Package crash kills the true program (kill -9) at random moments and checks that everything it had promised is still true.
//
// A few writers push, tag, mount and delete over HTTP, each in repositories of its own, so that it is always known what each repository
// must hold; only the request that was under way when the program died may have happened or not, but never by halves. They also share
// blobs, and fight over one tag of a repository that belongs to all. After each kill the program is started again in the same folder and
// asked for everything that was touched, and for a sample of the rest. Every twenty rounds the store is checked whole: by asking for all
// of it, by `entrepot verify`, and by building its index anew from content and asking again; then a fresh store is begun.
//
//	go test ./conformance/crash                                    # 40 rounds, about a minute
//	go test ./conformance/crash -crash.rounds=300 -timeout=30m     # or ENTREPOT_TEST_CRASH_ROUNDS=300
//	go test ./conformance/crash -crash.seed=7                      # the same writers' choices again; the kernel's timing is its own
package crash
