#!/usr/bin/env bash
# Measures the node beside the floor: every workload in turn, one process measured at a time.
# Usage: benches/compare.sh [--only WORKLOAD]… [RUNS [SECONDS]]     3 runs of 8 seconds without arguments.
# Prints a line of JSON for each measurement, then a table of medians: workload, floor, node, ratio.
# MICRONOTIFIER_BIN names another server to measure than the release build of this tree.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly IDLE_SECONDS=2
# name | figure | unit | floor too | options of the load generator | configuration of the node, if another
readonly WORKLOADS="
fan-out-1000|server_cpu_us_per_delivery|µs/delivery|yes|--conns 1000
fan-out-5000|server_cpu_us_per_delivery|µs/delivery|yes|--conns 5000
paced-10x1000|server_cpu_us_per_delivery|µs/delivery|yes|--conns 1000 --rate 10
trigger-to-one|server_cpu_us_per_delivery|µs/trigger|yes|--conns 1000 --channels 1000 --publishers 16
client-events|server_cpu_us_per_delivery|µs/delivery|no|--mode client --conns 1000 --channels 100
9-kb-x-500|server_cpu_us_per_delivery|µs/delivery|yes|--conns 500 --size 9000
idle-8000|kib_per_conn|KiB/socket|yes|--mode idle --conns 8000
idle-15000|kib_per_conn|KiB/socket|yes|--mode idle --conns 15000
connect|server_cpu_us_per_connect|µs/socket|yes|--mode idle --conns 8000
idle-tls-8000|kib_per_conn|KiB/socket|no|--mode idle --conns 8000|tls
idle-tls-15000|kib_per_conn|KiB/socket|no|--mode idle --conns 15000|tls
connect-tls|server_cpu_us_per_connect|µs/socket|no|--mode idle --conns 8000|tls
heartbeats|server_cpu_us_per_heartbeat|µs/heartbeat|no|--mode idle --conns 15000 --secs 20|heartbeats"

names() { cut -s -d'|' -f1 <<<"$WORKLOADS"; }

usage() {
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    echo "Workloads: $(names | paste -sd' ')"
}

only=()
while [[ ${1:-} == -* ]]; do
    case $1 in
        --only)
            names | grep -qxF -- "${2:-}" || { usage >&2; exit 64; }
            only+=("$2")
            shift 2
            ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; exit 64 ;;
    esac
done
runs=${1:-3} seconds=${2:-8}
[[ $runs =~ ^[1-9][0-9]*$ && $seconds =~ ^[1-9][0-9]*$ && $# -le 2 ]] || { usage >&2; exit 64; }

# shellcheck source=benches/support/server.sh
source benches/support/server.sh

# Lifts every limit that the load would reach, also for backends that have nothing to send for a while;
# the port is the system's choice. The argument names the variant.
write_config() {
    local more=
    case $1 in
        tls) more="\"certificate\": \"$work/cert.pem\", \"private-key\": \"$work/key.pem\"," ;;
        heartbeats) more='"activity-timeout": 10, "pong-timeout": 5,' ;;
    esac
    cat >"$work/node.json" <<JSON
{
  "host": "$HOST", "port": 0, "admin-port": 0, $more
  "limits": {"handshakes-per-second": -1, "max-connections": -1, "max-connections-per-address": -1},
  "http": {"request-head-seconds": 600, "keep-alive-seconds": 600},
  "applications": [{
    "name": "testapp", "key": "1234567890", "secret": "abcdefghij", "client-events": true,
    "limits": {"client-events-per-second": -1, "backend-events-per-second": -1, "max-connections": -1}
  }]
}
JSON
}

# Measures one workload on one server, a fresh one so that memory and queues start empty, and appends its figure to a
# file of that name.
measure() {
    local name=$1 kind=$2 run=$3 figure=$4 options=$5 config=${6:-node} length=$seconds report
    [[ $options != *"--mode idle"* ]] || length=$IDLE_SECONDS
    [[ $options == *--secs* ]] || options+=" --secs $length"
    [[ $config != tls ]] || options+=" --ca $work/cert.pem"
    write_config "$config"
    start "$kind"
    # shellcheck disable=SC2086  # the options are words
    report=$("$target/load" --addr "$address" --pid "$server" $options)
    stop
    echo "{\"workload\":\"$name\",\"server\":\"$kind\",\"run\":$run,\"report\":$report}"
    is_valid "$name, $kind" "$report" || return 0
    figure "$figure" "$report" >>"$work/$name.$kind"
}

is_wanted() { ((${#only[@]} == 0)) || [[ " ${only[*]} " == *" $1 "* ]]; }

build

while IFS='|' read -r -u 3 name figure unit has_floor options config; do
    [[ -n $name ]] && is_wanted "$name" || continue
    [[ $config != tls || -f $work/cert.pem ]] || write_certificate
    for ((run = 1; run <= runs; run++)); do
        [[ $has_floor == no ]] || measure "$name" floor "$run" "$figure" "$options"
        measure "$name" node "$run" "$figure" "$options" "$config"
    done
    floor=$(median "$work/$name.floor") node=$(median "$work/$name.node")
    ratio=$(awk -v node="$node" -v floor="$floor" 'BEGIN {if (floor > 0) printf "%.2f", node / floor; else print "-"}')
    printf '| %-14s | %9s | %9s | %5s | %s |\n' "$name" "${floor:--}" "${node:--}" "$ratio" "$unit" >>"$work/table"
done 3<<<"$WORKLOADS"

printf '\n| %-14s | %9s | %9s | %5s | %s |\n|---|---|---|---|---|\n' workload floor node ratio unit
cat "$work/table"
