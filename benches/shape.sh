#!/usr/bin/env bash
# Measures how the cost of a delivery depends on how much there is: channels, subscribers, clients that do not read.
# Usage: benches/shape.sh [PART]… [-- RUNS [SECONDS]]     parts: channels subscribers stalled lag calls; all of them, 1 run of 6 seconds.
# Prints a line of JSON for each measurement, then a table of medians for each part.
# MICRONOTIFIER_BIN names another server to measure than the release build of this tree.
set -euo pipefail
cd "$(dirname "$0")/.."

# Deliveries in a second where events are paced, so that none waits for another.
readonly PACE=15000
# Seconds of load before figures count: long enough that who does not read takes nothing any more.
readonly WARM_UP=3

usage() { sed -n '2,5s/^# \{0,1\}//p' "$0"; }

parts=() runs=1 seconds=6
while (($# > 0)); do
    case $1 in
        channels | subscribers | stalled | lag | calls) parts+=("$1") ;;
        --) runs=${2:-1} seconds=${3:-6}; break ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; exit 64 ;;
    esac
    shift
done
((${#parts[@]} > 0)) || parts=(channels subscribers stalled lag calls)
[[ $runs =~ ^[1-9][0-9]*$ && $seconds =~ ^[1-9][0-9]*$ ]] || { usage >&2; exit 64; }

# shellcheck source=benches/support/server.sh
source benches/support/server.sh

# Lifts every limit that the load would reach. Who does not read stays, so that all of a measurement is beside them.
write_config() {
    cat >"$work/node.json" <<JSON
{
  "host": "$HOST", "port": 0, "admin-port": $((20000 + RANDOM % 12000)),
  "limits": {
    "handshakes-per-second": -1, "max-connections": -1, "max-connections-per-address": -1,
    "outbox-bytes": 67108864, "outbox-seconds": 600
  },
  "http": {"request-head-seconds": 600, "keep-alive-seconds": 600},
  "applications": [{
    "name": "testapp", "key": "1234567890", "secret": "abcdefghij",
    "limits": {"backend-events-per-second": -1, "max-connections": -1}
  }]
}
JSON
}

# Runs a workload on a `node` or the `floor` as often as wanted; each figure goes to a file of its own.
measure() {
    local kind=$1 name=$2 figures=$3 run each report
    shift 3
    for ((run = 1; run <= runs; run++)); do
        write_config
        start "$kind"
        report=$("$target/load" --addr "$address" --pid "$server" --secs "$seconds" --warm "$WARM_UP" "$@")
        stop
        tell "$kind-$name" "$run" "$report" || continue
        for each in $figures; do figure "$each" "$report" >>"$work/$kind-$name.$each"; done
    done
}

# Prints a measurement; false when it is void.
tell() {
    echo "{\"workload\":\"$1\",\"run\":$2,\"report\":$3}"
    is_valid "$1" "$3"
}

# Prints the median of a workload's time for each delivery.
cost() { median "$work/$1.server_cpu_us_per_delivery"; }

over() { awk -v a="$1" -v b="$2" 'BEGIN {if (a > 0 && b > 0) printf "%.2f", a / b; else print "-"}'; }

channels() {
    local table='' count sockets each node floor figure=server_cpu_us_per_delivery
    # channels, sockets, channels of each socket: always 10 subscribers to a channel
    while read -r -u 3 count sockets each; do
        local options=(--channels "$count" --conns "$sockets" --subscriptions "$each" --rate $((PACE / 10)))
        measure node "channels-$count" "$figure" "${options[@]}"
        # a socket of the floor has one channel
        ((each > 1)) || measure floor "channels-$count" "$figure" "${options[@]}"
        node=$(cost "node-channels-$count") floor=$(cost "floor-channels-$count")
        table+="| $count | $sockets | ${floor:--} | $(over "$floor" "$(cost floor-channels-10)")"
        table+=" | $node | $(over "$node" "$(cost node-channels-10)") |"$'\n'
    done 3<<<$'10 100 1\n100 1000 1\n1000 10000 1\n10000 10000 10'
    printf '\n| channels | sockets | floor, µs/delivery | to the first | node, µs/delivery | to the first |\n|---|---|---|---|---|---|\n%s\n' "$table"
}

subscribers() {
    local table='' count column figure=server_cpu_us_per_delivery
    for count in 100 1000 5000 15000; do
        measure floor "paced-$count" "$figure" --conns "$count" --rate $((PACE / count))
        measure node "paced-$count" "$figure" --conns "$count" --rate $((PACE / count))
        measure node "full-$count" "$figure" --conns "$count"
        table+="| $count |"
        for column in floor-paced node-paced node-full; do
            table+=" $(cost "$column-$count") | $(over "$(cost "$column-$count")" "$(cost "$column-100")") |"
        done
        table+=$'\n'
    done
    printf '\n| subscribers | floor, paced | to the first | node, paced | to the first | node, saturated | to the first |\n|---|---|---|---|---|---|---|\n%s\n' "$table"
}

stalled() {
    local table='' percent figure figures='pub_p99_us p50_us p99_us server_cpu_us_per_delivery'
    for percent in 0 5; do
        measure node "stalled-$percent" "$figures" --conns 1000 --rate 50 --size 1000 --stalled "$percent"
        table+="| $percent % |"
        for figure in $figures; do table+=" $(median "$work/node-stalled-$percent.$figure") |"; done
        table+=$'\n'
    done
    table+="| ratio |"
    for figure in $figures; do
        table+=" $(over "$(median "$work/node-stalled-5.$figure")" "$(median "$work/node-stalled-0.$figure")") |"
    done
    printf '\n| do not read | trigger p99, µs | delivery p50, µs | delivery p99, µs | µs/delivery |\n|---|---|---|---|---|\n%s\n' "$table"
}

# Prints the histogram of the node's event loops: the bounds in seconds and how many lags were not longer.
lags() {
    operator metrics | sed -n 's/^micronotifier_worker_loop_lag_seconds_bucket{le="\(.*\)"} \(.*\)/\1 \2/p'
}

lag() {
    local run each generator report
    for ((run = 1; run <= runs; run++)); do
        write_config
        start node
        "$target/load" --addr "$address" --pid "$server" --secs "$seconds" --warm "$WARM_UP" \
            --conns 10000 --probe >"$work/load.json" &
        generator=$!
        # what came while everybody connected is not of the figure
        sleep "$WARM_UP"
        lags >"$work/lags.before"
        wait "$generator"
        lags >"$work/lags.after"
        stop
        report=$(<"$work/load.json")
        tell lag-10000 "$run" "$report" || continue
        paste "$work/lags.after" "$work/lags.before" | awk '{print $1, $2 - $4}' >"$work/lags.$run"
        for each in ping_p50_us ping_p99_us ping_max_us; do figure "$each" "$report" >>"$work/lag.$each"; done
    done
    printf '\n| 10,000 subscribers, saturated | |\n|---|---|\n'
    awk '
        {
            if (!($1 in sum)) order[++bounds] = $1
            sum[$1] += $2
        }
        END {
            all = sum["+Inf"]
            for (i = 1; i <= bounds; i++) if (sum[order[i]] >= all * 0.99) break
            printf "| looks at the event loops | %d |\n| late by up to 20 ms | %.1f %% |\n", all, sum["0.02"] / all * 100
            printf "| 99 %% were late by at most | %s s |\n", order[i]
        }' "$work"/lags.[0-9]*
    echo "| ping to pong, p50, p99, max | $(median "$work/lag.ping_p50_us"), $(median "$work/lag.ping_p99_us"), $(median "$work/lag.ping_max_us") µs |"
}

sent() { operator metrics | sed -n 's/^micronotifier_messages_sent_total{.*} //p'; }

# Counts the node's system calls under strace, which makes each of them dearer and so the node slower.
calls() {
    if ! command -v strace >/dev/null; then
        echo "no system calls are counted: strace is missing (apt-get install strace)" >&2
        return 69
    fi
    local table='' name options before count
    while IFS='|' read -r -u 3 name options; do
        write_config
        start node
        # shellcheck disable=SC2086  # the options are words
        "$target/load" --addr "$address" --warm "$WARM_UP" --secs $((seconds + WARM_UP)) $options >"$work/load.json" &
        local generator=$!
        sleep "$WARM_UP"
        before=$(sent)
        timeout --signal INT "$seconds" strace -c -f -U name,calls -o "$work/calls" -p "$server" 2>/dev/null || true
        count=$(($(sent) - before))
        wait "$generator"
        stop
        tell "calls-$name" 1 "$(<"$work/load.json")" || continue
        table+=$(awk -v name="$name" -v count="$count" '
            $1 ~ /^[a-z_0-9]+$/ && $2 ~ /^[0-9]+$/ {
                if ($1 == "total") total = $2
                else if ($1 ~ /^(send|sendto|sendmsg|write|writev)$/) out += $2
                else if ($1 ~ /^(recv|recvfrom|recvmsg|read|readv)$/) input += $2
                else if ($1 ~ /^epoll_p?wait/) wait += $2
            }
            END {
                total = out + input + wait > total ? out + input + wait : total
                printf "| %s | %.3f | %.3f | %.3f | %.3f |", name, total / count, out / count, input / count, wait / count
            }' "$work/calls")$'\n'
    done 3<<<$'fan-out-1000|--conns 1000\npaced-10x1000|--conns 1000 --rate 10\ntrigger-to-one|--conns 1000 --channels 1000 --publishers 16'
    printf '\n| calls for each delivery | all | that write | that read | that wait |\n|---|---|---|---|---|\n%s\n' "$table"
}

build
for part in "${parts[@]}"; do "$part"; done
