#!/bin/sh
# What the packages are made with, at versions that were tried: into target/dist-tools, where it stays for the next time. Sourced by
# packaging/dist.sh; run by tests/tools.sh (--for-tests), so that a test of the packages installs nothing.
set -eu
root=${root:-$(cd "$(dirname "$0")/.." && pwd)}
tools=$root/target/dist-tools

missing=""
for tool in cargo python3 npm objdump gzip tar sha256sum; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "packages: making them needs$missing (Debian: apt-get install python3 python3-venv npm binutils, and Rust from https://rustup.rs)" >&2
    exit 1
fi
mkdir -p "$tools"

cargo_tool() {
    [ "$(cat "$tools/$1.installed" 2>/dev/null)" = "$2" ] && return
    echo "Installing $1 $2 into target/dist-tools" >&2
    cargo install --quiet --locked --root "$tools/cargo" --version "$2" "$1"
    echo "$2" >"$tools/$1.installed"
}
cargo_tool cargo-deb 3.8.0
cargo_tool cargo-cyclonedx 0.5.9

python_tools="build==1.6.1 hatchling==1.33.0"
# Only a release is built against an old C library; what the tests pack is built already.
[ "${1:-}" = --for-tests ] || [ -n "${HUFU_BIN:-}" ] || python_tools="$python_tools ziglang==0.17.1 cargo-zigbuild==0.24.1"
for package in $python_tools; do
    grep -qx "$package" "$tools/python.installed" 2>/dev/null && continue
    [ -x "$tools/python/bin/pip" ] || { rm -f "$tools/python.installed" && python3 -m venv "$tools/python"; }
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check "$package"
    echo "$package" >>"$tools/python.installed"
done
