# Two commands do all the set-up: `make demo` (or cargo run --release -- demo) and `make test`.

.PHONY: demo test check bench bench-capacity tools fmt clippy unit docs deny

## Everything in one process, nothing to install: look at it.
demo:
	cargo run --release -- demo

## What the gate runs: installs or names what the tests need, then formatting, clippy, all tests, docs.
test: tools check docs

## The same without installing anything: before every commit.
check: fmt clippy unit

tools:
	@sh tests/tools.sh

fmt:
	cargo fmt --all -- --check

clippy:
	cargo clippy --all-targets --locked -- -D warnings

unit:
	cargo test --locked

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

## CPU per request beside nginx; needs nginx and wrk, and says so when they are missing.
bench:
	@sh bench/run.sh

## What a session costs: memory and processor time of Redis, over a million sessions (SESSIONS=100000: fewer); docs/capacity.md.
bench-capacity:
	cargo bench --bench capacity -- $(SESSIONS)

## Licences, duplicates and sources of the dependencies; needs cargo-deny.
deny:
	cargo deny check licenses bans sources
