#!/usr/bin/env bash
# Measures the node beside the floor: every workload in turn, one process measured at a time.
# Usage: benches/compare.sh [--only WORKLOAD]… [RUNS [SECONDS]]     3 runs of 8 seconds without arguments.
# Prints a line of JSON for each measurement, then a table of medians: workload, floor, node, ratio.
# MICRONOTIFIER_BIN names another server to measure than the release build of this tree.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly HOST=127.0.0.1 START_SECONDS=10 IDLE_SECONDS=2
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

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/release
node_bin=${MICRONOTIFIER_BIN:-$target/micronotifier}
work=$(mktemp -d)
server=
trap 'stop; rm -rf "$work"' EXIT

# --- Servers. Each measurement has a fresh one, so that memory and queues start empty. ---

# Lifts every limit that the load would reach, also for backends that have nothing to send for a while;
# the port is the system's choice. The argument names the configuration.
write_config() {
    local more=
    case $1 in
        tls) more="\"certificate\": \"$work/cert.pem\", \"private-key\": \"$work/key.pem\"," ;;
        heartbeats) more='"activity-timeout": 10, "pong-timeout": 5,' ;;
    esac
    cat >"$work/$1.json" <<JSON
{
  "host": "127.0.0.1", "port": 0, "admin-port": 0, $more
  "limits": {"handshakes-per-second": -1, "max-connections": -1, "max-connections-per-address": -1},
  "http": {"request-head-seconds": 600, "keep-alive-seconds": 600},
  "applications": [{
    "name": "testapp", "key": "1234567890", "secret": "abcdefghij", "client-events": true,
    "limits": {"client-events-per-second": -1, "backend-events-per-second": -1, "max-connections": -1}
  }]
}
JSON
}

# Makes the certificate of the TLS workloads, which the load generator is told to believe.
write_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$HOST" \
        -addext "subjectAltName=IP:$HOST" -addext basicConstraints=critical,CA:FALSE \
        -keyout "$work/key.pem" -out "$work/cert.pem" 2>"$work/openssl.log" || { cat "$work/openssl.log" >&2; return 1; }
}

# Starts a server, a node with a configuration, and sets `server` to its process and `address` to where it listens.
start() {
    local config=$2
    address=
    : >"$work/server.log"
    case $1 in
        floor) "$target/floor" "$HOST:0" >"$work/server.log" 2>&1 & ;;
        node) "$node_bin" serve -c "$work/$config.json" >"$work/server.log" 2>&1 & ;;
    esac
    server=$!
    local deadline=$((SECONDS + START_SECONDS))
    until address=$(grep -om1 "$HOST:[0-9]*" "$work/server.log"); do
        if ! kill -0 "$server" 2>/dev/null || ((SECONDS > deadline)); then
            echo "the $1 does not start:" >&2
            cat "$work/server.log" >&2
            return 1
        fi
        sleep 0.1
    done
}

stop() {
    [[ -n $server ]] || return 0
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}

# --- Measurements. ---

# Measures one workload on one server and appends its figure to a file of that name.
measure() {
    local name=$1 kind=$2 run=$3 figure=$4 options=$5 config=${6:-node} length=$seconds report
    [[ $options != *"--mode idle"* ]] || length=$IDLE_SECONDS
    [[ $options == *--secs* ]] || options+=" --secs $length"
    [[ $config != tls ]] || options+=" --ca $work/cert.pem"
    write_config "$config"
    start "$kind" "$config"
    # shellcheck disable=SC2086  # the options are words
    report=$("$target/load" --addr "$address" --pid "$server" $options)
    stop
    echo "{\"workload\":\"$name\",\"server\":\"$kind\",\"run\":$run,\"report\":$report}"
    grep -q '"errs":{}' <<<"$report" || echo "$name: the $kind made errors; its figure is void" >&2
    sed -n "s/.*\"$figure\":\([0-9.]*\).*/\1/p" <<<"$report" >>"$work/$name.$kind"
}

median() {
    [[ -f $1 ]] || return 0
    sort -n "$1" | awk '{value[NR] = $1} END {print NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2}'
}

is_wanted() { ((${#only[@]} == 0)) || [[ " ${only[*]} " == *" $1 "* ]]; }

cargo build --release --locked -p micronotifier-load
[[ -n ${MICRONOTIFIER_BIN:-} ]] || cargo build --release --locked -p micronotifier

while IFS='|' read -r -u 3 name figure unit has_floor options config; do
    [[ -n $name ]] && is_wanted "$name" || continue
    [[ $config != tls || -f $work/cert.pem ]] || write_certificate
    for ((run = 1; run <= runs; run++)); do
        [[ $has_floor == no ]] || measure "$name" floor "$run" "$figure" "$options"
        measure "$name" node "$run" "$figure" "$options" "$config"
    done
    floor=$(median "$work/$name.floor") node=$(median "$work/$name.node")
    ratio=$(awk -v node="$node" -v floor="$floor" 'BEGIN {if (floor > 0) printf "%.2f", node / floor; else print "-"}')
    printf '| %-14s | %9s | %9s | %5s | %s |\n' "$name" "${floor:--}" "$node" "$ratio" "$unit" >>"$work/table"
done 3<<<"$WORKLOADS"

printf '\n| %-14s | %9s | %9s | %5s | %s |\n|---|---|---|---|---|\n' workload floor node ratio unit
cat "$work/table"
