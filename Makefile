# `make` alone lists the targets. Scripts do what needs more than a line.

N          ?= 3000
K          ?= 1
SEED       ?= 1
BUDGET_USD ?=
ROUNDS     ?= 20

FUZZTIME ?= 30s

PKG       ?= ./...
TESTFLAGS ?=

PROGRAMS := ./worker ./starter ./vaultproxy/cmd/vaultproxy ./vendorsim/cmd/vendorsim

# Nothing here needs cgo. One setting for every target also means that tests,
# linters and programs share one build cache.
export CGO_ENABLED = 0

# Packages whose tests start servers of their own, as processes: the race
# detector would watch the test and not them, so test-race leaves these out.
PROCESS_TESTS := /(e2e|bench)(/|$$)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":[^#]*## " } /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build every program into bin/, statically linked
	@mkdir -p bin
	go build -ldflags='-s -w' -o bin/ $(PROGRAMS)

.PHONY: demo
demo: build ## a capped billing run from end to end: N=3000 K=1 SEED=1 BUDGET_USD=
	go build -o bin/ ./e2e/cmd/demo
	@exec scripts/with-peers temporal -- bin/demo --customers $(N) --charges-per-activity $(K) --seed $(SEED) $(if $(BUDGET_USD),--budget-usd $(BUDGET_USD))

.PHONY: test
test: ## every test, those against a real Temporal server and stripe-mock too: PKG=./... TESTFLAGS=
	@exec scripts/with-peers temporal stripe-mock -- go test -timeout 30m $(TESTFLAGS) $(PKG)

.PHONY: test-race
test-race: ## the tests under the race detector (needs a C compiler), but for those that start servers
	@packages=$$(go list ./... | grep -Ev '$(PROCESS_TESTS)') && \
	  CGO_ENABLED=1 scripts/with-peers temporal stripe-mock -- go test -race -timeout 30m $(TESTFLAGS) $$packages

.PHONY: fuzz
fuzz: ## every fuzz target, one after the other: FUZZTIME=30s
	@exec scripts/fuzz $(FUZZTIME)

.PHONY: replay
replay: build ## replay recorded histories, and every run of the server at TEMPORAL_ADDRESS, against today's code
	go test ./workflows -run Replay -count=1
	@if [ -n "$${TEMPORAL_ADDRESS:-}" ]; then exec bin/worker replay; \
	  else echo 'set TEMPORAL_ADDRESS to replay every run of a server too'; fi

.PHONY: record
record: build ## record the workflow histories anew, on a real Temporal server
	go build -o bin/ ./e2e/cmd/record
	@exec scripts/with-peers temporal -- bin/record

.PHONY: chaos
chaos: build ## billing runs while worker, proxy and Temporal are killed again and again: SEED=1 ROUNDS=20
	go build -o bin/ ./e2e/cmd/chaos
	@exec scripts/with-peers temporal -- bin/chaos --seed $(SEED) --rounds $(ROUNDS)

.PHONY: bench
bench: build ## measure against bare baselines, side by side
	go build -o bin/ ./bench/cmd/bench
	@exec scripts/with-peers temporal -- bin/bench

.PHONY: bench-ledger
bench-ledger: ## measure durable reservations a second beside a transaction a call
	@go build -o bin/ ./bench/cmd/benchledger
	@exec bin/benchledger

.PHONY: lint
lint: lint-format lint-vet lint-golangci lint-workflows lint-modules lint-vuln ## every static check

.PHONY: fmt
fmt: ## format the code and order its imports
	"$$(scripts/tool golangci-lint)" fmt

.PHONY: vuln
vuln: ## look for known vulnerabilities in what is called
	@scripts/vuln

.PHONY: tools
tools: ## build every pinned tool of scripts/tools.txt that is not there yet
	@awk '!/^#/ && NF { print $$1 }' scripts/tools.txt | while read -r tool; do scripts/tool "$$tool" || exit 1; done

.PHONY: compose-secrets
compose-secrets: ## make the secret files that docker-compose.yml mounts
	@scripts/compose-secrets

.PHONY: clean
clean: ## remove built programs; .bin/ (tools) and .tollgate/ (ledgers, keys) stay
	rm -rf bin coverage.out

# The parts of lint.

.PHONY: lint-format lint-vet lint-golangci lint-workflows lint-modules lint-vuln

lint-format:
	@unformatted=$$(gofmt -l .) && if [ -n "$$unformatted" ]; then \
	  printf 'not formatted, run make fmt:\n%s\n' "$$unformatted" >&2; exit 1; fi

lint-vet:
	go vet ./...

lint-golangci:
	"$$(scripts/tool golangci-lint)" run ./...

# Follows the calls out of every workflow for what replays differently: the
# clock, goroutines, map order, I/O.
lint-workflows:
	"$$(scripts/tool workflowcheck)" ./workflows/...

lint-modules:
	go mod tidy -diff
	go mod verify

lint-vuln:
	@scripts/vuln --offline-ok
