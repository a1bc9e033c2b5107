#!/bin/sh
# Writes what can be installed without compiling, for this machine's architecture, into target/packages (or the folder $1): a tar.gz, a
# .deb, an npm package in two parts, a wheel, an SBOM, and the checksums of all. `make dist` calls it; RELEASING.md says how a release is made.
# HUFU_BIN names a binary that is packed as it is; without it, one is built against glibc 2.17, so that it runs on every system since 2014.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
out=${1:-$root/target/packages}

[ "$(uname -s)" = Linux ] || { echo "make dist: packages are made on Linux" >&2; exit 1; }
. packaging/tools.sh

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
machine=$(uname -m)
case "$machine" in
x86_64) node_cpu=x64 ;;
aarch64) node_cpu=arm64 ;;
*) echo "make dist: no packages for $machine yet: cargo build --profile dist builds the binary" >&2; exit 1 ;;
esac

# The binary. zig brings the symbols of old C libraries along; the compiler is the pinned one.
if [ -n "${HUFU_BIN:-}" ]; then
    built=$HUFU_BIN
else
    target="$machine-unknown-linux-gnu"
    PATH="$tools/python/bin:$PATH" cargo-zigbuild zigbuild --profile dist --locked --bin hufu --target "$target.2.17"
    built="$root/target/$target/dist/hufu"
fi

# What it needs of the system: the newest version of the C library's symbols.
glibc=$(objdump -T "$built" | grep -o 'GLIBC_2\.[0-9]*' | sed 's/GLIBC_2\.//' | sort -n | tail -n 1)
[ -n "$glibc" ] || { echo "make dist: $built names no symbols of glibc: is it a Linux program?" >&2; exit 1; }
if [ -z "${HUFU_BIN:-}" ] && [ "$glibc" -gt 17 ]; then
    echo "make dist: the binary needs glibc 2.$glibc, not 2.17: objdump -T $built | grep GLIBC_2.$glibc" >&2
    exit 1
fi

rm -rf "$out"
mkdir -p "$out"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
# With times of the last commit, the same sources give the same packages.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1700000000)}
export SOURCE_DATE_EPOCH

# What all packages are made of.
files="$root/target/dist-files"
rm -rf "$files"
mkdir -p "$files/completions"
cp "$built" "$files/hufu"
strip "$files/hufu"
"$files/hufu" man >"$files/hufu.1"
"$files/hufu" completions bash >"$files/completions/hufu.bash"
"$files/hufu" completions zsh >"$files/completions/_hufu"
"$files/hufu" completions fish >"$files/completions/hufu.fish"
"$files/hufu" schema >"$files/hufu.schema.json"

# tar.gz
name="hufu-$version-linux-$machine"
mkdir "$stage/$name"
cp -r "$files/." hufu.toml redis.conf LICENSE README.md README.zh-CN.md CHANGELOG.md "$stage/$name/"
sed 's|/usr/bin/hufu|/usr/local/bin/hufu|' packaging/hufu.service >"$stage/$name/hufu.service"
tar -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf - "$name" | gzip -n9 >"$out/$name.tar.gz"

# .deb
PATH="$tools/cargo/bin:$PATH" cargo deb --quiet --no-build --no-strip --output "$out/"

# npm: the program for each platform is a package of its own, and the one that people install names them all.
mkdir -p "$stage/npm/platform/bin" "$stage/npm/wrapper/bin"
cp "$files/hufu" "$stage/npm/platform/bin/hufu"
cp LICENSE "$stage/npm/platform/"
cp packaging/npm/hufu.js "$stage/npm/wrapper/bin/hufu.js"
cp LICENSE README.md "$stage/npm/wrapper/"
cat >"$stage/npm/platform/package.json" <<J
{
  "name": "@hufu-gateway/linux-$node_cpu",
  "version": "$version",
  "description": "The binary of hufu for Linux on $node_cpu",
  "license": "Apache-2.0",
  "os": ["linux"],
  "cpu": ["$node_cpu"],
  "libc": ["glibc"],
  "files": ["bin/hufu", "LICENSE"]
}
J
cat >"$stage/npm/wrapper/package.json" <<J
{
  "name": "hufu",
  "version": "$version",
  "description": "Session gateway for WeChat mini programs",
  "license": "Apache-2.0",
  "keywords": ["wechat", "gateway", "session", "proxy", "redis"],
  "bin": { "hufu": "bin/hufu.js" },
  "files": ["bin/hufu.js", "LICENSE", "README.md"],
  "engines": { "node": ">=18" },
  "optionalDependencies": {
    "@hufu-gateway/linux-arm64": "$version",
    "@hufu-gateway/linux-x64": "$version"
  }
}
J
for part in platform wrapper; do (cd "$stage/npm/$part" && npm pack --silent --pack-destination "$out" >/dev/null); done

# Wheel
mkdir "$stage/python"
cp packaging/python/* "$files/hufu" README.md LICENSE "$stage/python/"
HUFU_VERSION=$version HUFU_WHEEL_PLATFORM="manylinux_2_${glibc}_$machine" \
    "$tools/python/bin/python" -m build --no-isolation --wheel --outdir "$out" "$stage/python" >/dev/null

# Software bill of materials: every crate that is in the binary, with its licence.
PATH="$tools/cargo/bin:$PATH" cargo cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps --override-filename "hufu-sbom.tmp" >/dev/null
# Its names of this package have the folder in them.
sed "s|path+file://$root|path+file:///hufu|g" hufu-sbom.tmp.json >"$out/$name.sbom.cdx.json"
rm hufu-sbom.tmp.json

(cd "$out" && sha256sum -- * >"$stage/SHA256SUMS" && mv "$stage/SHA256SUMS" .)
echo "needs glibc 2.$glibc or later"
ls -l "$out"
