# What a developer types. Go knows by itself what has to be built again, so no target names files.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: backends bench build clean clients fuzz lint minio oidc oracle replicas run test tools tools-extra vuln

FUZZTIME  ?= 10s
# More flags for go test: make test TESTFLAGS=-v
TESTFLAGS ?=

# run: builds and serves on 127.0.0.1:5000 with everything under ./data; the program says what to type next.
run: build
	@exec ./bin/entrepot serve

# build: the program, in bin/entrepot.
build:
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/entrepot ./cmd/entrepot

# test: the tests that need neither root nor anything installed but Go and a C compiler (for the race detector).
test:
	go vet ./...
	go test -race $(TESTFLAGS) ./...

# clients: real clients against the program, as root; says what is missing and how to install it.
clients: tools
	go test -tags clients -count=1 $(TESTFLAGS) ./conformance/clients/... ./auth/ldap ./artifacts/document ./artifacts/deb ./artifacts/suite ./artifacts/apt

# backends: S3 and PostgreSQL, with servers that the tests start; says what is missing and how to install it.
backends: tools
	go test -tags backends -count=1 $(TESTFLAGS) ./storage/blob/s3/... ./storage/kv/postgres/... ./registry/transfer ./registry/importer ./artifacts ./conformance/program ./conformance/replicas/...
	go test -tags backends -count=1 $(TESTFLAGS) -run 'TestPeers_.*bucket|TestImport|TestRestore_from' ./cmd/entrepot

# replicas: the real clients again, each registry being three replicas over a bucket and a database, as root.
replicas: tools
	ENTREPOT_TEST_AS_REPLICAS=3 go test -tags clients -count=1 -timeout 25m $(TESTFLAGS) ./conformance/clients/...

# minio: the S3 driver against a second server, as a second opinion; it takes three minutes to build.
minio:
	@conformance/tools/build minio
	ENTREPOT_TEST_S3_SERVER=minio go test -tags backends -count=1 $(TESTFLAGS) ./storage/blob/s3/...

# tools: the pinned clients and checkers, in .cache/tools.
tools:
	@conformance/tools/build

# tools-extra: containerd 2 (CLIENTS_CONTAINERD=2 make clients) and distribution's registry, which no ordinary test needs.
tools-extra:
	@conformance/tools/build extra

# oracle: asks distribution's registry and this one the same questions.
oracle:
	cd conformance/oracle && go test -count=1 $(TESTFLAGS) ./...

# oidc: people and jobs log in by an OpenID provider that others wrote.
oidc:
	cd conformance/oidc && go test -count=1 $(TESTFLAGS) ./...

# bench: measures this registry beside others on this machine.
bench:
	go run ./conformance/bench

# lint: formatting and what vet and staticcheck see, the tests behind build tags included.
lint:
	@conformance/tools/build staticcheck
	@unformatted=$$(gofmt -l .); if [[ -n $$unformatted ]]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	.cache/tools/staticcheck ./...
	go vet -tags clients ./conformance/... ./auth/ldap ./artifacts/document ./artifacts/deb ./artifacts/suite ./artifacts/apt
	.cache/tools/staticcheck -tags clients ./conformance/... ./auth/ldap ./artifacts/document ./artifacts/deb ./artifacts/suite ./artifacts/apt
	go vet -tags backends ./storage/... ./registry/... ./artifacts ./cmd/entrepot ./conformance/program ./conformance/replicas/...
	.cache/tools/staticcheck -tags backends ./storage/... ./registry/... ./artifacts ./cmd/entrepot ./conformance/program ./conformance/replicas/...

# vuln: known vulnerabilities in what the program calls; needs the network for the database.
vuln:
	@conformance/tools/build govulncheck
	.cache/tools/govulncheck ./...

# fuzz: every fuzz target for FUZZTIME, one after the other. What one finds stays in testdata/fuzz and fails again without fuzzing;
# a fuzzer that was merely stopped in the middle of an input does not.
fuzz:
	@{ grep -rnoE --include='*_test.go' '^func Fuzz[[:alnum:]_]+' . || true; } | while IFS=: read -r file _ found; do \
		echo "fuzz $${found#func } in $$(dirname "$$file")"; \
		go test -run '^$$' -fuzz "^$${found#func }\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null || \
		go test -run "^$${found#func }\$$" "$$(dirname "$$file")" </dev/null; \
	done

# clean: removes what was built, the tools too; ./data is yours and stays.
clean:
	rm -rf bin .cache
