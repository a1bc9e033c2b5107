#!/bin/sh
# Builds target/guided/hufu: a build that knows from a training run which ways through the code are taken, and how often.
# Twice the time of a plain one and a minute of training; the request costs a fifth fewer instructions (docs/performance.md).
set -eu
cd "$(dirname "$0")/.."

missing=""
for tool in python3 nginx wrk redis-server; do
    command -v "$tool" > /dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "make release: the training needs$missing (Debian: apt-get install$missing); cargo build --profile dist works without" >&2
    exit 1
fi

host=$(rustc -vV | sed -n 's/^host: //p')
profdata="$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata"
[ -x "$profdata" ] || rustup component add llvm-tools
folder="$(pwd)/target/guided"
rm -rf "$folder/counts" "$folder/hufu"
mkdir -p "$folder/counts"

# Under the same --target, so that both builds give everything the same names.
RUSTFLAGS="-Cprofile-generate=$folder/counts" cargo build --profile dist --locked --bin hufu --target "$host" --target-dir "$folder/training"
HUFU_BIN="$folder/training/$host/dist/hufu" LLVM_PROFILE_FILE="$folder/counts/%m-%p.profraw" python3 -B -m bench --train
"$profdata" merge --sparse -o "$folder/hufu.profdata" "$folder/counts"
RUSTFLAGS="-Cprofile-use=$folder/hufu.profdata" cargo build --profile dist --locked --bin hufu --target "$host" --target-dir "$folder/build"
cp "$folder/build/$host/dist/hufu" "$folder/hufu"
echo "$folder/hufu"
