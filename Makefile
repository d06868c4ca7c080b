# Every task of the house. `make demo` and `make test` are all a newcomer needs.

CARGO ?= cargo

.PHONY: demo test lint bench book setup soak

## Try it out: a provider, an app and foregate between them, in one process.
demo:
	$(CARGO) run --quiet -- demo

## Everything that must pass: style, every test on real parts, the docs.
test: setup lint
	$(CARGO) test --quiet
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --no-deps

## What the tests need: real proxies, a provider, a browser, a database. Installs only what is missing.
setup:
	tests/setup.sh

## The pages of docs/ as a book: target/book/index.html.
book: setup
	.tools/bin/mdbook build docs

## Formatting and lints, also with each store alone.
lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --quiet --all-targets -- -D warnings
	$(CARGO) clippy --quiet --lib --no-default-features --features sqlite -- -D warnings
	$(CARGO) clippy --quiet --lib --no-default-features --features postgres -- -D warnings

## Mixed load and faults for so many seconds; never a part of `make test`, which has a short one.
SOAK_SECONDS ?= 1800
soak: setup
	SOAK_SECONDS=$(SOAK_SECONDS) $(CARGO) test --quiet --test it soak::soak -- --exact --ignored --nocapture

## Speed, compared within one run; never a test.
bench:
	benches/run.sh
