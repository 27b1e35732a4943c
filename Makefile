# Two commands matter, `make demo` and `make test`; `make` alone lists all.
.DEFAULT_GOAL := help
.PHONY: help setup demo test pki bench lint clean-setup

# Where `make pki` writes.
DIR := .setup/pki

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
	cargo $(TEST) --locked

pki: ## Make a whole test PKI for hand tests with openssl: make pki DIR=folder
	cargo run --locked --example pki -- $(DIR)

bench: setup ## Measure the steps, then whole streams against the live limit (docs/PERFORMANCE.md)
	@benches/yardstick/prepare.sh
	cargo bench --locked

lint: ## Formatting, clippy, licences and sources of dependencies
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	@.ci/deny

clean-setup: ## Remove what setup put into the project (Debian packages stay)
	rm -rf .setup
