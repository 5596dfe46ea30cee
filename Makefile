# Every task of this repository. Tools come from package registries into .venv and the folders node_modules of local,
# local/deploy, tests/peers/e2ee and tests/peers/hydrogen; a second run finds them there. Needed beforehand: rustup or Rust
# 1.95 with its wasm32 target, a C compiler, npm, Python 3.11 or later, make; Chromium and ngircd, or root on a Debian.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

WRANGLER := WRANGLER_SEND_METRICS=false local/node local/deploy/node_modules/wrangler/bin/wrangler.js
# What drives matrix-sdk: a workspace of its own, with a lock of its own.
DRIVER := target/peers/debug/tombolo-peers-driver
DRIVER_AT := --locked --manifest-path tests/peers/e2ee/driver/Cargo.toml --target-dir target/peers
PEERS := .venv/.ready tests/peers/e2ee/node_modules/.ready local/node_modules/.ready $(DRIVER)
# Hydrogen as a page, and what shows it.
HYDROGEN := tests/peers/hydrogen
BROWSER := target/hydrogen/index.html target/.chromium
# Installs a package of Debian, where one is root there.
debian = { test "$$(id -u)" = 0 && command -v apt-get >/dev/null || { echo "$(1) is lacking: install it" >&2; exit 2; }; \
	  printf '\n==> %s\n' "$(1) from Debian"; \
	  apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $(1) >/dev/null; }
WASM := wasm32-unknown-unknown
# What the Worker is made of; native tests are no part of it.
SOURCES := $(shell find src xtask -path '*/tests' -prune -o \( -name '*.rs' -o -name Cargo.toml \) ! -name tests.rs -print) \
	$(wildcard Cargo.toml Cargo.lock) local/worker.js wrangler.toml

say = @printf '\n==> %s\n' "$(1)"

.PHONY: help setup build serve test test-rust test-launcher test-deploy test-http test-endpoints test-oracle test-peers complement sequences mesh freeze soak lint bench bench-joins weigh deploy appservice clean

help: ## lists the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: target/.wasm local/node_modules/.ready local/deploy/node_modules/.ready tests/peers/e2ee/node_modules/.ready .venv/.ready $(DRIVER) $(BROWSER) target/.ngircd ## installs every tool

target/.wasm: rust-toolchain.toml
	$(call say,WebAssembly target of Rust)
	@if command -v rustup >/dev/null; then rustup target list --installed | grep -qx $(WASM) || rustup target add $(WASM); fi
	@mkdir -p target && touch $@

local/node_modules/.ready: local/package-lock.json
	$(call say,Node and workerd from npm (10 s))
	@cd local && npm ci --loglevel=error && touch node_modules/.ready

local/deploy/node_modules/.ready: local/deploy/package-lock.json
	$(call say,wrangler and binaryen from npm (10 s))
	@cd local/deploy && npm ci --loglevel=error && touch node_modules/.ready

tests/peers/e2ee/node_modules/.ready: tests/peers/e2ee/package-lock.json
	$(call say,matrix-js-sdk from npm (5 s))
	@cd tests/peers/e2ee && npm ci --loglevel=error && touch node_modules/.ready

$(HYDROGEN)/node_modules/.ready: $(HYDROGEN)/package-lock.json
	$(call say,Hydrogen and vite from npm (15 s))
	@cd $(HYDROGEN) && npm ci --loglevel=error && touch node_modules/.ready

target/hydrogen/index.html: $(HYDROGEN)/node_modules/.ready local/node_modules/.ready $(HYDROGEN)/vite.config.mjs $(wildcard $(HYDROGEN)/page/*)
	@cd $(HYDROGEN) && ../../../local/node node_modules/vite/bin/vite.js build
	@touch $@

target/.chromium:
	@$(HYDROGEN)/chromium >/dev/null || $(call debian,chromium)
	@mkdir -p target && touch $@

target/.ngircd:
	@test -x /usr/sbin/ngircd || command -v ngircd >/dev/null || $(call debian,ngircd)
	@mkdir -p target && touch $@

$(DRIVER): rust-toolchain.toml $(shell find tests/peers/e2ee/driver -name '*.rs' -o -name 'Cargo.*')
	$(call say,matrix-sdk from crates.io: three minutes the first time)
	@cargo build --quiet $(DRIVER_AT)
	@touch $@

.venv/.ready: tests/peers/requirements.txt
	$(call say,Synapse and matrix-nio from PyPI (30 s))
	@python3 -m venv --clear .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/peers/requirements.txt
	@touch $@

build: build/shim.js ## compiles the Worker into build/

build/shim.js: target/.wasm $(SOURCES)
	$(call say,the Worker: two minutes the first time)
	@cargo run --quiet --package xtask -- build

serve: local/node_modules/.ready build/shim.js ## serves the Worker on this machine; flags in ARGS="--profile test"
	@exec local/serve $(ARGS)

test: test-rust test-launcher build test-deploy test-http test-endpoints test-oracle test-peers ## runs every test

test-rust:
	$(call say,rules and objects and flows: native)
	@cargo test --workspace -- --quiet

build/contract/shim.js: target/.wasm $(SOURCES) $(shell find src/platform/tests -name '*.rs')
	$(call say,the platform's contract as a Worker)
	@cargo run --quiet --package xtask -- build --package tombolo-platform-contract --objects ShelfObject --out build/contract

test-launcher: local/node_modules/.ready build/shim.js build/contract/shim.js
	$(call say,the launcher and the platform on workerd)
	@local/node --test 'local/tests/*.test.mjs'

test-deploy: local/node_modules/.ready local/deploy/node_modules/.ready build/shim.js
	$(call say,the deployment: rehearsed)
	@$(WRANGLER) deploy --dry-run --outdir target/dry-run
	@local/node --test 'local/deploy/tests/*.test.mjs'

test-http: local/node_modules/.ready build/shim.js
	$(call say,the Worker over HTTP)
	@cargo test --package tombolo --test http -- --ignored

test-endpoints: local/node_modules/.ready build/shim.js
	$(call say,every route of the specification)
	@cargo test --package tombolo-compliance --test endpoints -- --ignored --quiet

test-oracle: .venv/.ready
	$(call say,verdicts and states against those of Synapse: a minute; ten times as many cases with ORACLE_SCALE=10)
	@.venv/bin/python -m pytest -q tests/oracle

test-peers: $(PEERS) $(BROWSER) target/.ngircd build/shim.js
	$(call say,with real servers and clients)
	@.venv/bin/python -m pytest -q tests/peers

complement: local/node_modules/.ready build/shim.js ## runs Complement, checked out in COMPLEMENT=DIR, and compares; flags of go test in ARGS
	$(call say,Complement: ten minutes for all of it)
	@test -n "$(COMPLEMENT)" || { echo "COMPLEMENT=DIR says where Complement is checked out" >&2; exit 2; }
	@cargo run --quiet --package tombolo-compliance -- suite "$(COMPLEMENT)" $(ARGS)

sequences: $(PEERS) build/shim.js ## plays random calls on ours and on Synapse; TOMBOLO_SEEDS=n sequences
	$(call say,random calls on two servers: 2 seconds a sequence)
	@.venv/bin/python -m pytest -q -s tests/peers/test_sequences.py

mesh: $(PEERS) build/shim.js ## plays random rooms on two of ours and Synapse; TOMBOLO_SEEDS=n of them
	$(call say,random rooms on three servers: 8 seconds each)
	@.venv/bin/python -m pytest -q -s tests/peers/test_mesh.py

freeze: $(PEERS) build/shim.js ## writes a data folder with this build, which every later one must be able to go on with
	@.venv/bin/python tests/peers/freeze.py

soak: ## runs simulated scenarios from a random seed on until one fails; TOMBOLO_SEEDS=n at most n
	@cargo test --profile soak --test convergence seeds_that_nobody_chose -- --ignored --nocapture

lint: target/.wasm ## checks format and lints, for both targets
	$(call say,format)
	@cargo fmt --all --check
	@cargo fmt --check --manifest-path tests/peers/e2ee/driver/Cargo.toml
	$(call say,lints: native)
	@cargo clippy --workspace --all-targets -- -D warnings
	$(call say,lints: WebAssembly)
	@cargo clippy --lib --target $(WASM) -- -D warnings
	$(call say,lints: what drives matrix-sdk)
	@cargo clippy $(DRIVER_AT) -- -D warnings

bench: .venv/.ready local/node_modules/.ready build/shim.js ## measures speed beside Synapse, and what is billed (10 minutes); flags in ARGS
	@.venv/bin/python benches/run.py $(ARGS)

bench-joins: .venv/.ready local/node_modules/.ready build/shim.js ## joins rooms of up to 50,000 members; sizes in ARGS
	@.venv/bin/python benches/joins.py $(ARGS)

weigh: local/deploy/node_modules/.ready local/node_modules/.ready build/shim.js ## optimises the Worker for deployment and weighs it
	@local/node local/deploy/weigh.mjs

deploy: weigh ## puts the Worker on Cloudflare: make deploy SERVER_NAME=example.org DOMAIN=matrix.example.org
	@local/node local/deploy/deploy.mjs "$(SERVER_NAME)" "$(DOMAIN)" "$(LOCATION)" "$(JURISDICTION)"

appservice: local/node_modules/.ready ## registers an application service on the deployment: make appservice FILE=registration.yaml, or REMOVE=id
	@local/node local/deploy/appservice.mjs $(if $(REMOVE),--remove "$(REMOVE)","$(FILE)")

clean: ## removes what was built; keeps installed tools and data
	@rm -rf build target
