#!/bin/sh
# Fuzzes every target, or TARGET alone, for TIME seconds each; or says what is missing.
set -eu
cd "$(dirname "$0")/.."

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "Fuzzing needs a nightly Rust: rustup toolchain install nightly --profile minimal" >&2
    exit 1
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "Fuzzing needs cargo-fuzz: cargo install cargo-fuzz --locked" >&2
    exit 1
fi
if ! command -v c++ >/dev/null 2>&1 && ! command -v "${CXX:-c++}" >/dev/null 2>&1; then
    echo "Fuzzing needs a C++ compiler, for libFuzzer: g++ or clang" >&2
    exit 1
fi

# The gateway's own dependencies, in its own versions.
cp Cargo.lock fuzz/Cargo.lock
for target in ${TARGET:-$(ls fuzz/fuzz_targets | sed 's/\.rs$//')}; do
    echo "== $target"
    mkdir -p "fuzz/corpus/$target"
    # Without a sanitizer: there is no unsafe code here, and what is looked for are broken properties.
    cargo +nightly fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- -max_total_time="${TIME:-60}" -timeout=10 -verbosity=0
done
