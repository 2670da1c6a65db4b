# hopblame — targets; `make help` lists them.
GO      ?= go
OUT     ?= out
SCENARIO ?= firewall-drops-syn
SEED    ?= 7
FUZZTIME ?= 60s
N       ?= 2000
# Where the specs leave what is worth keeping, such as the table of the catalogue.
HOPBLAME_ARTIFACTS ?= $(OUT)

.DEFAULT_GOAL := help
.PHONY: help build demo test unit e2e e2e-rootless example browser ablate mutate race lint fuzz bench bench-analyze bench-lab bench-proxy incident doctor tools clean go-version

## help: list the targets
help:
	@sed -n 's/^## \([a-z0-9-]*\): /\1 /p' $(MAKEFILE_LIST) | while read -r name what; do printf '  %-14s %s\n' "$$name" "$$what"; done

# Debian 12's own Go is too old; say so in one line instead of a page of errors.
go-version:
	@scripts/go-version.sh $(GO)

## build: build bin/hopblame
build: go-version
	CGO_ENABLED=0 $(GO) build -o bin/hopblame ./cmd/hopblame

## demo: play the incident: break the lab, capture, analyze, score (SCENARIO=…, SEED=…)
demo: build
	bin/hopblame run $(SCENARIO) --seed $(SEED)

## test: everything that is quick: vet, unit tests, end-to-end as you are and, for root, as nobody
test: go-version tools lint
	scripts/test.sh $(GO)

## unit: the tests that need no lab and no other program
unit: go-version
	$(GO) test ./internal/eventloop ./internal/arrows ./sim/ports ./analyzer/...

## e2e: the Ginkgo suite, three processes side by side, for much of it is waiting; leaves OUT/catalogue.txt, scenario × hop × cause
e2e: go-version tools
	HOPBLAME_ARTIFACTS=$(abspath $(HOPBLAME_ARTIFACTS)) $(GO) tool ginkgo -procs=3 --fail-on-empty --randomize-all --poll-progress-after=60s ./e2e

## e2e-rootless: the Ginkgo suite as nobody (wants root to become nobody)
e2e-rootless: go-version
	scripts/rootless.sh $(GO) ./e2e

## example: the suite of a module of its own that tries a real HAProxy with e2e/testkit (HOPBLAME_MUST_RUN=1: it may not skip)
example: go-version
	@scripts/tools.sh haproxy
	$(GO) test -C examples/haproxy-suite -count=1 ./...

## browser: report.html and hopblame serve in headless Chromium, with axe-core; leaves screenshots in OUT (HOPBLAME_MUST_RUN=1: it may not skip)
browser: go-version
	@scripts/tools.sh chromium npm
	@scripts/axe.sh
	HOPBLAME_ARTIFACTS=$(abspath $(HOPBLAME_ARTIFACTS)) $(GO) test -C e2e/browser -count=1 -v ./...

## ablate: things taken away from recorded runs, N times: no verdict may flip (N=…, SEED=…, RUNS=folder of run directories)
ablate: go-version
	$(GO) test ./scenarios/ablation -run '^TestNoFlip$$' -count=1 -v -timeout 60m -ablations $(N) -trial-seed $(SEED) $(if $(RUNS),-runs $(abspath $(RUNS)))

## mutate: deliberate defects in our own analyzer: the catalogue is to catch them (SEED=…, RUNS=folder of run directories, ONLY=what a mutant says, a regular expression)
mutate: go-version
	nice $(GO) test ./scenarios/mutation -run '^TestMutants$$' -count=1 -v -timeout 60m -mutate -trial-seed $(SEED) $(if $(RUNS),-runs $(abspath $(RUNS))) $(if $(ONLY),-only '$(ONLY)')

## race: what has goroutines of its own under the race detector (wants gcc)
race: go-version
	@# Of the analyzer what keeps its goroutines (packets.go, analyze.go, spool.go) busy
	@# with every rule; of the commands not the scripts, which put together what the others
	@# are; nor the ablation, whose workers have an analysis each of their own. The catalogue is
	@# no race: the detector slows its labs so that good requests come as late as failing ones,
	@# and ./sim has the same code. Of ./sim one package at a time: each has eight labs at
	@# once, which is what two processors have time for.
	CGO_ENABLED=1 $(GO) test -race -short -timeout 15m -run '^Test(Verdicts|Causes|Traps|Clocks|.*AblationsNeverFlip|StreamsOfHTTP2|ALongConnection|SpoolErrors|StandardInputIsReadOnceAndLeavesNothing|WaitingForInputCanBeInterrupted)$$' ./analyzer
	CGO_ENABLED=1 $(GO) test -race -short -parallel 8 -timeout 15m -skip '^TestScripts$$' ./analyzer/verify ./internal/cli ./internal/eventloop ./internal/nflog ./topology/... ./serve
	CGO_ENABLED=1 $(GO) test -race -short -p 1 -parallel 8 -timeout 15m ./sim/...

## lint: gofmt and go vet, also for the analyzer on macOS and Windows, and for the modules apart
lint: go-version
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); test -z "$$unformatted" || { echo "not gofmt-ed: $$unformatted" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) vet -C examples/haproxy-suite ./...
	$(GO) vet -C e2e/browser ./...
	GOOS=darwin $(GO) vet ./analyzer/...
	GOOS=windows $(GO) vet ./analyzer/...

## fuzz: every fuzz target for FUZZTIME each
fuzz: go-version
	scripts/fuzz.sh $(GO) $(FUZZTIME)

## incident: the incident at full size: 100,000 requests, 6 million packets; prints the timings
incident: build
	bin/hopblame run firewall-drops-syn --requests 100000 --seed $(SEED)

## bench: the Go benchmarks
bench: go-version
	$(GO) test -run '^$$' -bench . -benchmem ./analyzer/... ./internal/...

## bench-analyze: the analyzer against tcpdump, tshark and tcptrace on the same captures, as ratios (REQUESTS=…)
bench-analyze: build
	@scripts/tools.sh tcpdump tshark tcptrace
	scripts/bench-analyze.sh bin/hopblame

## bench-lab: one lab and a hundred at once, built and closed, against bare namespaces and veth pairs in the same run
bench-lab: go-version
	$(GO) test ./topology -run '^$$' -bench '^BenchmarkLab$$' -benchtime 100x
	$(GO) test ./topology -run '^$$' -bench '^BenchmarkHundredLabs$$' -benchtime 5x

## bench-proxy: the f5 against HAProxy, in turns within a minute, as ratios (the second HAProxy's is the control)
bench-proxy: go-version
	@scripts/tools.sh haproxy
	@$(GO) run ./sim/bigip/bench

## doctor: what this machine can and cannot do
doctor: build
	bin/hopblame doctor

# Programs that some tests use as a second opinion, or in place of our own actors:
# installed where that is possible, else those tests skip and say so.
tools:
	@scripts/tools.sh tshark curl tcpdump haproxy nginx:nginx-light wrk h2load:nghttp2-client

## clean: remove what was built
clean:
	rm -rf bin $(OUT)
