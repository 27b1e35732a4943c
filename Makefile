# Two commands matter, `make demo` and `make test`; `make` alone lists all.
.DEFAULT_GOAL := help
.PHONY: help setup demo test kill-loop powercut device pki bench lint fuzz mutants clean-setup

# Where `make pki` writes.
DIR := .setup/pki
# What only some boxes have is built for tests, so that it is tested.
FEATURES := c2pa,pkcs11
# Seconds of fuzzing for each target.
FUZZ_SECS ?= 60
# Kills in each loop of `make kill-loop`, and moments at which `make powercut` cuts.
KILLS ?= 100
POINTS ?= 60

# nextest runs each test in a process of its own; plain `cargo test` passes as well.
TEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo nextest run || echo test)

help: ## List what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## Get what building and running need (Debian packages, ONNX Runtime); does nothing twice
	@.ci/setup.sh

demo: setup ## Show the whole way on loopback: camera, case, warning, evidence, receipt, verifier
	cargo run --release --locked -- demo

test: ## Run all tests
	@.ci/setup.sh --tests
	@rm -f target/tmp/skipped
	cargo $(TEST) --locked --features $(FEATURES)
	@! test -s target/tmp/skipped || { echo "skipped on this machine:"; sort -u target/tmp/skipped; }

kill-loop: setup ## Kill daemon, broker, receiver and store KILLS=100 times each way, at random moments
	LINGMOU_TEST_KILLS=$(KILLS) cargo test --locked --features $(FEATURES) --test integration -- \
		--nocapture --test-threads=1 kill_9 kills_lose_nothing

powercut: setup ## Cut a virtual machine's power at POINTS=60 moments: nothing sealed is lost (root, x86-64)
	@tests/powercut/prepare.sh powercut linux-image-cloud-amd64
	cargo test --locked --features $(FEATURES) --test powercut -- --points $(POINTS)

device: setup ## Test a camera that is plugged in, in a virtual machine that has one (root, x86-64)
	@tests/powercut/prepare.sh device linux-image-amd64
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER=tests/device/boot.sh \
		cargo test --locked --features $(FEATURES) --test integration -- --test-threads=1 --nocapture device::

pki: ## Make a whole test PKI for hand tests with openssl: make pki DIR=folder
	cargo run --locked --example pki -- $(DIR)

bench: setup ## Measure backlog, steps, uplink, then whole streams: some 20 minutes (docs/PERFORMANCE.md)
	@benches/yardstick/prepare.sh
	cargo bench --locked

lint: ## Formatting, clippy, the build for small boxes, licences and sources of dependencies
	cargo fmt --check
	cargo clippy --locked --all-targets --features $(FEATURES) -- -D warnings
	cargo check --locked --no-default-features
	@.ci/deny

fuzz: setup ## Feed strangers' bytes to whatever reads them, FUZZ_SECS=60 for each target
	@fuzz/run $(FUZZ_SECS)

mutants: ## Change judgement and governor bit by bit: do their tests notice? (an hour or more)
	@tests/mutants/run

clean-setup: ## Remove what setup put into the project (Debian packages stay)
	rm -rf .setup
