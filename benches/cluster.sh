#!/usr/bin/env bash
# Measures two nodes and a Redis beside one node alone, in turn: the fan-out to sockets on both, and what a node pays
# for a channel that nobody there subscribes to. Needs redis-server.
# Usage: benches/cluster.sh [RUNS [SECONDS]]     3 runs of 8 seconds without arguments.
# Prints a line of JSON for each measurement, then a table of medians.
# MICRONOTIFIER_BIN names another server to measure than the release build of this tree.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly REDIS_SECONDS=10
# name | options of the load generator
readonly WORKLOADS="
fan-out-1000|--conns 1000
paced-10x1000|--conns 1000 --rate 10
trigger-to-one|--conns 1000 --channels 1000 --publishers 16"

usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; }

[[ ${1:-} != -* ]] || { usage; exit 64; }
runs=${1:-3} seconds=${2:-8}
[[ $runs =~ ^[1-9][0-9]*$ && $seconds =~ ^[1-9][0-9]*$ && $# -le 2 ]] || { usage >&2; exit 64; }

# shellcheck source=benches/support/server.sh
source benches/support/server.sh
trap 'stop_cluster; clean_up' EXIT

# Lifts every limit that the load would reach. Given the `redis` object, the node is one of two, with one worker: both
# together have as many as one alone on two cores.
write_config() {
    cat >"$work/node.json" <<JSON
{
  "host": "$HOST", "port": 0, "admin-port": 0, "workers": $((${#1} > 0)), $1
  "limits": {"handshakes-per-second": -1, "max-connections": -1, "max-connections-per-address": -1},
  "http": {"request-head-seconds": 600, "keep-alive-seconds": 600},
  "applications": [{
    "name": "testapp", "key": "1234567890", "secret": "abcdefghij",
    "limits": {"backend-events-per-second": -1, "max-connections": -1}
  }]
}
JSON
}

redis='' nodes=() addresses=()

# Starts a Redis and two nodes; sets `redis`, `nodes` to the processes and `addresses` to where the nodes listen.
start_cluster() {
    local socket=$work/redis.sock port deadline=$((SECONDS + REDIS_SECONDS))
    until
        port=$((15000 + RANDOM % 15000))
        redis-server --port "$port" --bind "$HOST" --unixsocket "$socket" --save '' --appendonly no >"$work/redis.log" 2>&1 &
        redis=$!
        until [[ -S $socket ]] || ! kill -0 "$redis" 2>/dev/null; do sleep 0.05; done
        [[ -S $socket ]]
    do
        ((SECONDS < deadline)) || { cat "$work/redis.log" >&2; return 1; }
    done
    write_config "\"redis\": {\"address\": \"$HOST:$port\"},"
    nodes=() addresses=()
    for _ in 1 2; do
        start node
        nodes+=("$server")
        addresses+=("$address")
    done
    server=
    for address in "${addresses[@]}"; do
        until curl -sf -o "$work/up" "http://$address/up"; do
            ((SECONDS < deadline)) || { cat "$work/server.log" >&2; return 1; }
            sleep 0.1
        done
    done
}

stop_cluster() {
    local process
    for process in "${nodes[@]}" $redis; do
        kill -KILL "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    nodes=() redis=
    rm -f "$work/redis.sock"
}

# Prints the processor time of a process, in milliseconds: there are 100 ticks in a second.
processor() { awk '{sub(/.*\) /, ""); print ($12 + $13) * 10}' "/proc/$1/stat"; }

# Runs the load and prints its line, or nothing where there were errors.
load() {
    local name=$1 report
    report=$("$target/load" --secs "$seconds" "${@:2}")
    echo "{\"workload\":\"$name\",\"report\":$report}" >&3
    is_valid "$name" "$report" && echo "$report"
}

note() { printf '%s\n' "$2" >>"$work/$1"; }

exec 3>&1
build
while IFS='|' read -r -u 4 name options; do
    [[ -n $name ]] || continue
    for ((run = 1; run <= runs; run++)); do
        write_config ""
        start node
        # shellcheck disable=SC2086  # the options are words
        if report=$(load "$name, alone" --addr "$address" --pid "$server" $options); then
            note "$name.alone" "$(figure server_cpu_us_per_delivery "$report")"
        fi
        stop

        start_cluster
        before=$(processor "$redis") began=$(date +%s%N)
        # shellcheck disable=SC2086
        if report=$(load "$name, two" --addr "${addresses[0]},${addresses[1]}" --pub-addr "${addresses[0]}" --pid "${nodes[0]},${nodes[1]}" $options); then
            note "$name.two" "$(figure server_cpu_us_per_delivery "$report")"
            note "$name.redis" "$(awk -v ms=$(($(processor "$redis") - before)) -v ns=$(($(date +%s%N) - began)) 'BEGIN {print 1e8 * ms / ns}')"
        fi
        stop_cluster
    done
    alone=$(median "$work/$name.alone") two=$(median "$work/$name.two") busy=$(median "$work/$name.redis")
    ratio=$(awk -v two="$two" -v alone="$alone" 'BEGIN {if (alone > 0) printf "%.2f", two / alone; else print "-"}')
    printf '| %-14s | %9s | %9s | %5s | %7.1f %% |\n' "$name" "${alone:--}" "${two:--}" "$ratio" "${busy:-0}" >>"$work/table"
done 4<<<"$WORKLOADS"

# All sockets and publishers on one node: what the other one pays.
start_cluster
load "elsewhere" --addr "${addresses[0]}" --pid "${nodes[1]}" --conns 1000 >"$work/elsewhere"
# and with nothing going on at all
before=$(processor "${nodes[1]}")
sleep "$seconds"
idle=$(($(processor "${nodes[1]}") - before))

printf '\n| %-14s | %9s | %9s | %5s | %9s |\n|---|---|---|---|---|\n' workload alone two ratio "Redis"
cat "$work/table"
printf '\nalone, two: µs of the nodes'\'' processor time for each delivery; Redis: of one core.\n'
printf 'A node without subscribers, %s deliveries on the other: %s µs for each; idle, %s ms in %s s.\n' \
    "$(figure delivered "$(cat "$work/elsewhere")")" "$(figure server_cpu_us_per_delivery "$(cat "$work/elsewhere")")" "$idle" "$seconds"
