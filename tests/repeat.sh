#!/bin/sh
# Runs the integration tests again and again, as `make repeat` says: $1 times, the rest are arguments of the tests. Ends at the first failure.
set -eu
times="$1"
shift
log="target/repeat.log"

cargo test --locked --no-run --test it
run=1
while [ "$run" -le "$times" ]; do
    start=$(date +%s)
    if ! cargo test --locked --test it -- "$@" >"$log" 2>&1; then
        sed -n '/^failures:$/,$p' "$log"
        echo "run $run of $times failed; all of its output: $log" >&2
        exit 1
    fi
    echo "run $run of $times: $(grep '^test result' "$log" | sed 's/^test result: //; s/;.*//') in $(($(date +%s) - start)) s"
    run=$((run + 1))
done
