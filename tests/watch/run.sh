#!/usr/bin/env bash
# Checks what a node is watched by: promtool takes the files of docker/ and the metrics, each alert fires and rests, and every panel of the
# dashboard shows something in a real Prometheus that scrapes two loaded nodes with a Redis; they have what each alert asks for.
# Needs a binary of the node, python3, and apt-get where Prometheus, Redis or curl is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/support.sh

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
node_bin=${MICRONOTIFIER_BIN:-$target/release/micronotifier}
readonly DEADLINE_SECONDS=30 SOCKETS=40 DASHBOARD_SECONDS=60 LOAD_SECONDS=180

[[ -x $node_bin ]] || { echo "there is no $node_bin: build the release first"; exit 1; }
{ command -v prometheus && command -v promtool && command -v redis-server && command -v curl; } >/dev/null || install_packages prometheus redis-server curl

begin_work

# --- The files ---

check "promtool takes prometheus.yml" promtool check config --syntax-only docker/prometheus.yml
check "promtool takes alerts.yml" promtool check rules docker/alerts.yml
check "each alert fires when it should, and at no other moment" promtool test rules tests/watch/alerts.test.yml
check "every part of every alert is needed for that" python3 tests/watch/mutants.py docker/alerts.yml tests/watch/alerts.test.yml "$work"
cat >"$work/needless.yml" <<'YAML'
groups:
  - name: needless
    rules:
      - alert: Needless
        expr: micronotifier_ready == 0 or micronotifier_ready == 7
YAML
check "a part that is not needed is found" refused python3 tests/watch/mutants.py "$work/needless.yml" tests/watch/alerts.test.yml "$work"

# --- Two nodes with a Redis, and Prometheus ---

read -r port_1 admin_1 port_2 admin_2 redis prometheus < <(free_ports 6)
readonly TOKEN=token-of-the-watch SECRET=secret-of-the-watch
printf %s "$TOKEN" >"$work/admin-token"

redis-server --bind 127.0.0.1 --port "$redis" --save '' --appendonly no --dir "$work" >"$work/redis.log" &
pids+=($!)
start_node() {
    cat >"$work/node-$2.json" <<JSON
{"host": "127.0.0.1", "port": $1, "admin-port": $2, "admin-token": "$TOKEN", "activity-timeout": 2, "pong-timeout": 2,
 "applications": [{"name": "watched", "id": "1", "key": "watch-key", "secret": "$SECRET", "client-events": true}],
 "redis": {"address": "127.0.0.1:$redis", "cluster-secret": "secret-of-the-two-nodes"}}
JSON
    "$node_bin" serve -c "$work/node-$2.json" 2>"$work/node-$2.log" &
    pids+=($!)
}
operator() { curl --silent --fail --header "Authorization: Bearer $TOKEN" "${@:3}" "http://127.0.0.1:$1$2"; }
start_node "$port_1" "$admin_1"
start_node "$port_2" "$admin_2"
check "both nodes are ready" wait_for eval 'operator $admin_1 /ready && operator $admin_2 /ready'

sed "s|/run/secrets|$work|; s|15s|1s|; s|\"node-1:9111\".*\"node-3:9111\"|\"127.0.0.1:$admin_1\", \"127.0.0.1:$admin_2\"|" docker/prometheus.yml >"$work/prometheus.yml"
cp docker/alerts.yml "$work/alerts.yml"
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address="127.0.0.1:$prometheus" --log.level=warn 2>"$work/prometheus.log" &
prometheus_pid=$!
pids+=("$prometheus_pid")
beginning=$(date +%s)
for port in "$port_1" "$port_2"; do
    MICRONOTIFIER_SECRET=$SECRET "$node_bin" bench -c "$work/node-$admin_1.json" --url "http://127.0.0.1:$port" --connections "$SOCKETS" \
        --channels 4 --rate 40 --seconds "$LOAD_SECONDS" --warm-up 1 --private >"$work/bench-$port.log" 2>&1 &
    pids+=($!)
done
python3 tests/watch/load.py "$port_1" watch-key "$SECRET" "$redis" "$LOAD_SECONDS" >"$work/load.log" 2>&1 &
pids+=($!)

lint() { operator "$1" /metrics >"$work/metrics" && promtool check metrics <"$work/metrics"; }
check "promtool takes the metrics of a node" lint "$admin_1"
undocumented() {
    sed -n 's/^# TYPE \(micronotifier_[a-z_]*\) .*/\1/p' "$work/metrics" | while read -r name; do
        grep --quiet --fixed-strings "\`$name\`" docs/watching.md || echo "docs/watching.md lacks $name"
    done | grep .
}
check "the manual has every metric of a node among several" refused undocumented
ends() { operator "$admin_1" /metrics --header 'Accept: application/openmetrics-text' | tail -n 1 | grep --quiet --line-regexp '# EOF'; }
check "OpenMetrics are told to who asks for them" ends
dashboard() {
    python3 tests/watch/dashboard.py "$1" "http://127.0.0.1:$prometheus" "$2" "$beginning" || { tail --lines 5 "$work/load.log" && return 1; }
}
check "every panel of the dashboard shows something" dashboard docker/dashboard.json "$DASHBOARD_SECONDS"
asked() { promtool query instant "http://127.0.0.1:$prometheus" "$1" | grep --quiet '=>'; }
check "the load is seen: messages leave both nodes" wait_for asked 'count(sum by (instance) (rate(micronotifier_messages_sent_total[15s])) > 100) == 2'
check "so is how long messages wait, of every kind of actor that has some" wait_for asked \
    'count(sum by (kind) (rate(micronotifier_mailbox_wait_seconds_count{kind=~"session|channel|courier|registry"}[15s])) > 0) == 4'
check "the bridge and the keeper are seen too" wait_for asked 'count(sum by (kind) (micronotifier_mailbox_messages_total{kind=~"bridge|keeper"}) > 0) == 2'
check "nothing was told to an actor that is gone" asked 'sum(micronotifier_mailbox_messages_undeliverable_total) == 0'
check "the start of a process does not move, as alerts expect" asked 'count(changes(process_start_time_seconds[1m]) == 0) == 2'
# Wants a command to fail, and to say why in these words.
complains() {
    local words=$1 said
    shift
    ! said=$("$@" 2>&1) && grep --fixed-strings "$words" <<<"$said"
}
check "a query without data is found" complains "no data: Depth now" \
    dashboard <(sed 's/micronotifier_mailbox_depth{/micronotifier_no_such_thing{/' docker/dashboard.json) 1
check "so is one that finds nothing but 0" complains "nothing but 0: Ready" \
    dashboard <(sed 's/micronotifier_ready{/0 * micronotifier_ready{/' docker/dashboard.json) 1
alerts() { python3 tests/watch/alerts.py "http://127.0.0.1:$prometheus" 16; }
check "Prometheus has loaded every alert, none fires, and the nodes have what each asks for" alerts
# Gives a label of the alerts another name, and waits until Prometheus has judged by that one.
rename() {
    sed "$2" docker/alerts.yml >"$work/alerts.yml"
    kill -HUP "$prometheus_pid"
    wait_for is_judged "$1"
}
is_judged() {
    local rules
    rules=$(curl --silent "http://127.0.0.1:$prometheus/api/v1/rules") && [[ $rules == *"$1"* && $rules != *'"health":"unknown"'* ]]
}
rename sort 's/kind="session"/sort="session"/'
check "an alert that asks for what no node has is found" complains 'sort="session"' alerts
rename part 's/\$labels.shard/$labels.part/'
check "so is one that tells a label that is not there" complains 'no node has part of' alerts

conclude watch
