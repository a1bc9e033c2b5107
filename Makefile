# Two commands do all the set-up: `make demo` (or cargo run --release -- demo) and `make test`.

.PHONY: demo test check repeat fuzz bench bench-growth bench-capacity release dist measured tools fmt clippy unit docs deny

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

## The integration tests N times in a row, up to the first failure: shows a test that fails now and then. ARGS="gate::" for some of them.
repeat:
	@sh tests/repeat.sh $(or $(N),10) $(ARGS)

## Looks TIME seconds per target for inputs that break a property; says what is missing. TARGET=path for one of them.
fuzz:
	@TIME="$(or $(TIME),60)" TARGET="$(TARGET)" sh fuzz/run.sh

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

## CPU per request beside other proxies; says what is missing. ARGS="--quick" to try, ARGS="--write" for docs/.
bench: measured
	@python3 -B -m bench $(ARGS)

## How the cost grows with sessions, routes, bodies and connections.
bench-growth: measured
	@python3 -B -m bench --growth $(ARGS)

## The gateway as it is meant to be run: target/guided/hufu, built twice, with a training run between. Says what is missing.
release: target/guided/hufu

target/guided/hufu: $(shell find src -name '*.rs') Cargo.toml Cargo.lock rust-toolchain.toml bench/guided.sh bench/training.py
	@sh bench/guided.sh

## Packages for this machine's architecture, into target/packages: tar.gz, .deb, npm, wheel, SBOM, checksums (RELEASING.md). HUFU_BIN names a binary to pack.
dist:
	@sh packaging/dist.sh

# Nothing is built if HUFU_BIN names a binary.
measured:
	@test -n "$$HUFU_BIN" || { $(MAKE) --no-print-directory release && cargo build --profile dist --locked --quiet; }

## What a session costs: memory and processor time of Redis, over a million sessions (SESSIONS=100000: fewer); docs/capacity.md.
bench-capacity:
	cargo bench --bench capacity -- $(SESSIONS)

## Licences, duplicates and sources of the dependencies; needs cargo-deny.
deny:
	cargo deny check licenses bans sources
