#!/bin/sh
# Fuzzes every target for SECONDS each (default 30), from the committed seeds. Needs a nightly toolchain.
# Usage: tests/fuzz/run.sh [SECONDS]
set -eu
cd "$(dirname "$0")/../.."

seconds=${1:-30}
if ! cargo +nightly --version > /dev/null 2>&1; then
    echo "fuzz: no nightly toolchain here (rustup toolchain install nightly); nothing was fuzzed"
    exit 0
fi
tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
if [ ! -x "$tools/bin/cargo-fuzz" ]; then
    cargo install --quiet --locked cargo-fuzz --version 0.13.2 --root "$tools"
fi
PATH=$tools/bin:$PATH

passed=0
failed=0
for target in $(cargo +nightly fuzz list --fuzz-dir tests/fuzz); do
    corpus=tests/fuzz/target/corpus/$target
    log=tests/fuzz/target/$target.log
    mkdir -p "$corpus"
    if cargo +nightly fuzz run --fuzz-dir tests/fuzz "$target" "$corpus" "tests/fuzz/seeds/$target" \
        -- -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=512 > "$log" 2>&1
    then
        passed=$((passed + 1))
        echo "$target: $(grep '^Done ' "$log")"
    else
        failed=$((failed + 1))
        echo "$target: FAILED, input under tests/fuzz/artifacts/$target"
        tail -n 40 "$log"
    fi
done
echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
