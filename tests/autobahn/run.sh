#!/bin/sh
# Runs Autobahn's WebSocket cases against the echo example. Needs python3 and PyPI (once).
# 9.* measures speed; 12.* and 13.* need compression, which is never negotiated.
set -eu
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-target}
work=$target/autobahn
venv=$work/venv
mkdir -p "$work"
if [ ! -x "$venv/bin/kosoku" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --require-hashes --requirement tests/autobahn/requirements.txt
fi

cargo build --quiet --example echo
rm -rf "$work/reports" "$work/address"
mkfifo "$work/address"
"$target/debug/examples/echo" > "$work/address" &
echo_server=$!
trap 'kill "$echo_server" 2>/dev/null || true; rm -f "$work/address"' EXIT
read -r address < "$work/address"

status=0
"$venv/bin/kosoku" -m fuzzingclient -x '9.*' -x '12.*' -x '13.*' -o "$work/reports" "$address" \
    > "$work/kosoku.log" 2>&1 || status=$?
python3 tests/autobahn/verdict.py "$work/reports/index.json" || { tail -n 20 "$work/kosoku.log"; exit 1; }
exit "$status"
