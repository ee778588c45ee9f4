# fleet-health. Type `make` for the list.
SHELL   := /bin/bash
PREFIX  ?= /usr/local
DESTDIR ?=

.DEFAULT_GOAL := help
.PHONY: help deps build probes test fuzz soak mutants demo bench bench-peers bench-probe bench-scale install lint fmt doc clean

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r what why; do printf '%-16s %s\n' "$$what" "$$why"; done

deps: ## Install what tests and demo run against (Debian packages; a Python environment in target/venv)
	@scripts/deps

build: ## The runnable tree dist/: fleet, fleet-collector, fleet-alerter, probes/
	@scripts/build

probes: ## The static probe for each architecture that there are means for (deps: scripts/deps probes), into dist/probes/
	@scripts/probes

test: ## All tests, against real servers on loopback, and on a machine of another architecture by qemu
	@scripts/deps probes
	@scripts/probes aarch64
	@scripts/test

fuzz: ## Every fuzz target for SECONDS_EACH=60 seconds; the first build takes minutes; needs g++
	@scripts/fuzz

soak: deps ## The alerter's invariants over 20,000 stories, and 10,000 kills of the real program; half an hour
	@FLEET_SIM_CASES=20000 FLEET_KILLS=10000 cargo test --locked --release --lib --test alerter_killed -- alerter::sim killed

mutants: ## Mistakes in the alerter that its tests must notice; some minutes
	@scripts/mutate

demo: deps ## The whole way in two minutes: hosts, sweep, alert mail, recovery mail
	@scripts/demo.sh

bench: deps ## Beside the plain ssh program: CPU, round trips, bytes; rewrites docs/benchmarks.md
	@scripts/bench.sh

bench-peers: deps ## Beside pssh, pdsh, clush, check_by_ssh, parallel-ssh, asyncssh, Ansible; rewrites docs/benchmarks-peers.md
	@scripts/bench-peers

bench-probe: deps ## The probe beside node_exporter and psutil; rewrites docs/benchmarks-probe.md
	@scripts/bench-probe.sh

bench-scale: ## Sweeps over 50, 500 and 5,000 simulated hosts with latency; rewrites docs/benchmarks-scale.md
	@cargo bench --locked --bench scale -- --write docs/benchmarks-scale.md

install: ## Install under PREFIX (default /usr/local), staged under DESTDIR if that is set
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install

lint: ## Formatting, clippy with warnings as errors, documentation
	@scripts/lint

fmt: ## Format the source
	@cargo fmt

doc: ## The library's documentation, into target/doc
	@cargo doc --locked --no-deps

clean: ## Remove target/ and dist/
	@cargo clean && rm -rf dist fuzz/target
