#!/usr/bin/env bash
# Looks for leaks: clients come and go for MINUTES while signed triggers go on; then every count of the node must be
# where it began, and its memory must not have grown. Usage: benches/churn.sh [MINUTES]     30 without an argument.
# Prints a line of JSON for the load, a table of all counts and a verdict as JSON; exit 1 when the verdict is bad.
# RATE guests per second (100) stay STAY seconds (10) in the mean; with TLS=yes all speak TLS. MICRONOTIFIER_BIN names
# another server to watch than the release build of this tree, SAMPLES a file to keep the samples in.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly SAMPLE_SECONDS=5 LONGEST_WARM_UP=300 MOST_MIB_PER_HOUR=1
# The longest wait after the last guest: deadlines (120 s) and idempotency keys (120 s) of those who are gone.
readonly DRAIN_SECONDS=240
readonly RATE=${RATE:-100} STAY=${STAY:-10} TLS=${TLS:-no}

[[ ${1:-} != --help && ${1:-} != -h ]] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0; }
minutes=${1:-30}
[[ $minutes =~ ^[1-9][0-9]*$ && $# -le 1 ]] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 64; }
total=$((minutes * 60)) warm_up=$((minutes * 60 / 2))
((warm_up <= LONGEST_WARM_UP)) || warm_up=$LONGEST_WARM_UP

# shellcheck source=benches/support/server.sh
source benches/support/server.sh
samples=${SAMPLES:-$work/samples}
load=
trap 'kill -KILL $load 2>/dev/null || true; clean_up' EXIT

# The node's limits are out of the way, but for those that a leak would run into.
write_config() {
    local most=$((RATE * STAY * 3 + 500)) tls=
    [[ $TLS != yes ]] || tls="\"certificate\": \"$work/cert.pem\", \"private-key\": \"$work/key.pem\","
    cat >"$work/node.json" <<JSON
{
  "host": "$HOST", "port": 0, "admin-port": $((20000 + RANDOM % 12000)), $tls
  "limits": {"handshakes-per-second": -1, "max-connections": $most, "max-connections-per-address": $most},
  "http": {"request-head-seconds": 60},
  "applications": [{
    "name": "testapp", "key": "1234567890", "secret": "abcdefghij", "client-events": true,
    "limits": {"max-connections": $most, "backend-events-per-second": -1, "cache-seconds": 30}
  }]
}
JSON
}

wait_until_ready() {
    local deadline=$((SECONDS + START_SECONDS))
    until operator ready >"$work/ready" 2>&1; do
        ((SECONDS < deadline)) || { cat "$work/ready" >&2; return 1; }
        sleep 0.1
    done
}

# Prints `name value` for everything that must be back at the end, and nothing that only grows.
counts() {
    operator metrics | awk '
        /^micronotifier_(actors|table_entries|outbox_bytes|connections|queue_places_taken)[{ ]/ {
            name = $1
            gsub(/micronotifier_|app_id=|kind=|table=|queue=|"|}/, "", name)
            gsub(/[{,]/, " ", name)
            sub(/shard=/, "shard ", name)
            gsub(/ /, ".", name)
            print name, $2
        }'
    echo threads "$(find "/proc/$server/task" -mindepth 1 -maxdepth 1 | wc -l)"
    echo descriptors "$(find "/proc/$server/fd" -mindepth 1 -maxdepth 1 | wc -l)"
}

# Prints KiB of resident memory: what the node has written, then that and its share of mapped files. The slope is of
# the first: pages of the program come and go with what else the machine does, in steps of MiB.
memory() { awk '/^Pss_Anon:/ {own = $2} /^Pss:/ {all = $2} END {print own, all}' "/proc/$server/smaps_rollup"; }

# Prints a row of the table for a column of memory: at the start, in the mean behind the warm-up, at the end.
memory_row() {
    awk -v from="$warm_up" -v column="$2" -v start="$3" -v end="$4" -v name="$1" '
        $1 >= from {kib += $column; n++}
        END {printf "| %-40s | %8.1f | %8.1f | %8.1f |\n", name, start / 1024, kib / n / 1024, end / 1024}' "$samples"
}

# Takes a sample: seconds since the start, memory (own, all), connections.
sample() {
    echo "$((SECONDS - began)) $(memory) $(counts | awk '$1 == "actors.session" {print $2}')" >>"$samples"
}

# Prints MiB per hour, by least squares over the samples behind the warm-up.
slope() {
    awk -v from="$warm_up" '
        $1 >= from {n++; x += $1; y += $2; xx += $1 * $1; xy += $1 * $2}
        END {
            spread = n * xx - x * x
            printf "%.2f", (spread > 0 ? (n * xy - x * y) / spread : 0) * 3600 / 1024
        }' "$samples"
}

# Waits until what is counted is as it was; false when it takes too long.
wait_for_the_end() {
    local deadline=$((SECONDS + DRAIN_SECONDS))
    until counts >"$work/end" && cmp -s "$work/start" "$work/end"; do
        ((SECONDS < deadline)) || return 1
        sleep 1
    done
}

build
: >"$samples"
tls=()
if [[ $TLS == yes ]]; then
    write_certificate
    tls=(--ca "$work/cert.pem")
fi
write_config
start node
wait_until_ready
counts >"$work/start"
counts >"$work/start" # the first question has opened what stays open
read -r start_own start_all < <(memory)
began=$SECONDS

"$target/load" --addr "$address" --pid "$server" --mode churn --rate "$RATE" --stay "$STAY" --channels 50 "${tls[@]}" \
    --warm "$warm_up" --secs $((total - warm_up)) >"$work/report" &
load=$!
while kill -0 "$load" 2>/dev/null; do
    sleep "$SAMPLE_SECONDS"
    ((SECONDS - began >= total)) || sample
    ((SECONDS - began < total / 2)) || [[ -s $work/middle ]] || counts >"$work/middle"
done
wait "$load" || { echo "the load generator failed" >&2; exit 1; }
load=
wait_for_the_end && back=true || back=false
read -r end_own end_all < <(memory)
mib_per_hour=$(slope)

cat "$work/report"
printf '\n| %-40s | %8s | %8s | %8s |\n|---|---|---|---|\n' count start middle end
paste -d' ' "$work/start" "$work/middle" "$work/end" |
    awk '{printf "| %-40s | %8s | %8s | %8s |\n", $1, $2, $4, $6}'
memory_row "own memory, MiB" 2 "$start_own" "$end_own"
memory_row "with the program's pages, MiB" 3 "$start_all" "$end_all"
errors=false
grep -q '"errs":{}' "$work/report" || errors=true
flat=$(awk -v slope="$mib_per_hour" -v most="$MOST_MIB_PER_HOUR" 'BEGIN {print slope <= most ? "true" : "false"}')
printf '\n{"minutes":%d,"warm_up_seconds":%d,"samples":%d,"mib_per_hour":%s,"flat":%s,"counts_back":%s,"errors":%s}\n' \
    "$minutes" "$warm_up" "$(wc -l <"$samples")" "$mib_per_hour" "$flat" "$back" "$errors"
[[ $flat == true && $back == true && $errors == false ]]
