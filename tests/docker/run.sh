#!/usr/bin/env bash
# Checks docker/ without a Docker engine: linters, what the build is given, and the real nginx and haproxy with their files before one real
# node; tests/front has all three. Needs the release binary, python3, PyPI (once) and apt-get where a proxy is missing.
# What it cannot check: that the image builds and runs (image.sh does, without Docker's own base images).
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/support.sh

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
node_bin=${MICRONOTIFIER_BIN:-$target/release/micronotifier}
venv=$target/docker/venv
export PATH=$PATH:/usr/sbin
readonly KEY=docker-key TLS_KEY=docker-tls-key DEADLINE_SECONDS=10

[[ -x $node_bin ]] || { echo "there is no $node_bin: build the release first"; exit 1; }
{ command -v nginx && command -v haproxy; } >/dev/null || install_packages nginx-light haproxy
if ! cmp --quiet tests/docker/requirements.txt "$venv/installed"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement tests/docker/requirements.txt
    cp tests/docker/requirements.txt "$venv/installed"
fi

begin_work
chmod 755 "$work" # nginx's workers are another user's when root starts them

# --- The files ---

schema() { "$venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec "$1"; }
sed 's/cap_drop/cap_drops/' docker/compose.yaml >"$work/wrong.yaml"
check "hadolint takes the Dockerfile" "$venv/bin/hadolint" --failure-threshold style docker/Dockerfile
check "the Compose specification takes compose.yaml" schema docker/compose.yaml
check "it refuses a key that it does not know" refused schema "$work/wrong.yaml"
check "bash takes healthy" bash -n docker/healthy

defaults() { grep --only-matching --extended-regexp '\$\{[A-Z_0-9]+:-[^}]+' docker/compose.yaml | sed 's/^..//; s/:-/=/' | sort -u; }
check ".env.example has every variable of compose.yaml and its default" diff <(defaults) <(grep = docker/.env.example | grep -v '^#' | sort)

# --- What the build is given ---

sources() { sed -n '/^COPY --from/d; s/^COPY \(--[^ ]* \)*\(.*\) [^ ]*$/\2/p' docker/Dockerfile | tr ' ' '\n'; }
strangers() {
    (cd "$work/context" && find . -type f) |
        grep --invert-match --extended-regexp '^\./((actors|benches|config|src|tests/lab)/.*|Cargo\.(toml|lock)|\.dockerignore|docker/(Dockerfile|healthy|node\.json))$'
}
manifests() { (cd "$work/built" && cargo metadata --locked --format-version 1 --manifest-path Cargo.toml >/dev/null); }
"$venv/bin/python" tests/docker/context.py . "$work/context"
check "every file that the Dockerfile copies is in the build's context" ls -d $(sources | sed "s|^|$work/context/|")
check "nothing else is: no build output, no secrets, no repository" refused strangers
mkdir "$work/built"
while read -r name; do mkdir -p "$(dirname "$work/built/$name")" && cp -r "$work/context/$name" "$work/built/$name"; done < <(sources | grep -v '^docker/')
check "Cargo takes what is copied, with its lock file" manifests

# --- The node, with the image's file and the environment of compose.yaml ---

environment() {
    "$venv/bin/python" -c 'import re, sys, ruamel.yaml
variables = ruamel.yaml.YAML(typ="safe").load(open("docker/compose.yaml"))["services"]["node-1"]["environment"]
for name, value in variables.items():
    print(name + "=" + re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value).replace("/run/secrets", sys.argv[1]))' "$work"
}
read -r public admin nginx narrow_nginx haproxy narrow_haproxy hasty_nginx deaf_nginx < <(free_ports 8)
secret=$(python3 -c 'import secrets; print(secrets.token_hex(24))')
cat >"$work/applications.json" <<JSON
[{"name": "chat", "id": "1", "key": "$KEY", "secret": "$secret"},
 {"name": "shop", "id": "2", "key": "$TLS_KEY", "secret": "$secret", "tls-only": true}]
JSON
for name in admin-token cluster-secret redis-password; do
    python3 -c 'import secrets; print(secrets.token_hex(24))' >"$work/$name"
done
mapfile -t given < <(environment)
check "the node takes the image's file with the environment of compose.yaml" env "${given[@]}" "$node_bin" check -c docker/node.json
check "it refuses that environment without the token's file" refused \
    env "${given[@]}" MICRONOTIFIER__ADMIN_TOKEN_FILE="$work/none" "$node_bin" check -c docker/node.json

# One node alone, to see what it is told by the proxies.
mapfile -t alone < <(environment | grep --invert-match __REDIS__)
env "${alone[@]}" MICRONOTIFIER__PORT="$public" MICRONOTIFIER__ADMIN_PORT="$admin" MICRONOTIFIER__TRUSTED_PROXIES='["127.0.0.1"]' \
    MICRONOTIFIER__LIMITS__MAX_CONNECTIONS_PER_ADDRESS=2 MICRONOTIFIER__ACTIVITY_TIMEOUT=4 MICRONOTIFIER__PONG_TIMEOUT=4 \
    "$node_bin" serve -c docker/node.json 2>"$work/node.log" &
pids+=($!)
healthy() { MICRONOTIFIER__PORT=$1 docker/healthy; }
node_answers() { wait_for healthy "$public" || { cat "$work/node.log"; return 1; }; }
check "the health check finds the node" node_answers
check "and does not find one where none listens" refused healthy "$nginx"

# --- nginx and haproxy before it ---

# Each starts a proxy with its file as it is, but for ports, directories and the sockets of one address; nginx with a change more, if there is one.
start_nginx() {
    local port=$1 sockets=$2 change=${3:-} directory=$work/nginx-$1
    mkdir -m 777 "$directory"
    sed "s|/tmp/|$directory/|; s|listen 8080|listen 127.0.0.1:$port|; s|server node-[123]:8111|server 127.0.0.1:$public|
        s|limit_conn sockets 200|limit_conn sockets $sockets|; s|/dev/stdout|$directory/access.log|; $change" docker/nginx.conf >"$directory.conf"
    check "nginx -t takes nginx.conf ($sockets sockets for an address${change:+, $change})" nginx -t -q -c "$directory.conf"
    nginx -c "$directory.conf" -g 'daemon off;' 2>"$directory/error.log" &
    pids+=($!)
}
start_haproxy() {
    local port=$1 sockets=$2 directory=$work/haproxy-$1 token
    mkdir "$directory"
    token=$(<"$work/admin-token")
    # as many connections as the descriptors of any machine allow
    sed "s|bind :8080|bind 127.0.0.1:$port|; s|node-[123]:8111|127.0.0.1:$public|; s|port 9111|port $admin|; s|maxconn 32768|maxconn 2048|
        s|sc0_conn_cur(of_sockets) gt 200|sc0_conn_cur(of_sockets) gt $sockets|" docker/haproxy.cfg >"$directory.cfg"
    check "haproxy -c takes haproxy.cfg ($sockets sockets for an address)" env ADMIN_TOKEN="$token" haproxy -c -f "$directory.cfg"
    ADMIN_TOKEN=$token haproxy -W -f "$directory.cfg" >"$directory/access.log" 2>"$directory/error.log" &
    pids+=($!)
}

sockets() { python3 tests/docker/sockets.py "$@"; }

# The checks of a proxy; `front` and `narrow` are ports, the narrow one allows one socket for each address.
behind() {
    local proxy=$1 front=$2 narrow=$3 channel=private-$1 forged=127.0.0.2,X-Forwarded-For=192.0.2 answer answers listener where
    "start_$proxy" "$front" 200
    "start_$proxy" "$narrow" 1
    check "GET /up through $proxy" wait_for healthy "$front"
    check "GET /up through the narrow one" wait_for healthy "$narrow"

    where=(--url "http://127.0.0.1:$front" --app 1 --app-key "$KEY")
    MICRONOTIFIER_SECRET=$secret "$node_bin" listen "${where[@]}" "$channel" >"$work/heard" 2>&1 & # itself, not a shell around it: it is to be ended
    listener=$!
    pids+=("$listener")
    check "listen subscribes to a private channel through $proxy" wait_for grep --quiet '^subscribed' "$work/heard"
    check "trigger is signed and answered through $proxy" env MICRONOTIFIER_SECRET="$secret" "$node_bin" trigger "${where[@]}" "$channel" greeting '{"hello":"docker"}'
    check "the event arrives" wait_for grep --quiet --line-regexp "$channel greeting {\"hello\":\"docker\"}" "$work/heard"
    check "a wrong secret is refused" refused env MICRONOTIFIER_SECRET=wrong-wrong-wrong-wrong \
        "$node_bin" trigger "${where[@]}" "$channel" greeting '{}'

    mapfile -t answers < <(sockets "$front" "$KEY" "$forged.1" "$forged.2" "$forged.3" 127.0.0.3)
    check "the node counts connections by the address that $proxy saw" matches "${answers[0]%% *} ${answers[1]%% *} ${answers[3]%% *}" "101 101 101"
    check "a client's own X-Forwarded-For does not get round that" matches "${answers[2]}" "503 node"
    answer=$(sockets "$front" "$TLS_KEY" 127.0.0.4,X-Forwarded-Proto=https)
    check "a client's own X-Forwarded-Proto does not make it TLS" matches "$answer" '101 *"code":4000*'
    mapfile -t answers < <(sockets "$narrow" "$KEY" 127.0.0.5 127.0.0.5)
    check "$proxy refuses an address too many sockets with 503" matches "${answers[0]%% *}, ${answers[1]}" "101, 503 $proxy"
    mapfile -t answers < <(sockets "$front" no-such-key $(yes 127.0.0.6 | head -n 150))
    check "$proxy refuses an address too many handshakes with 503" matches "$(printf '%s\n' "${answers[@]}" | grep --count "^503 $proxy")" "[1-9]*"
    check "the first ones it lets through" matches "${answers[0]}" '101 *"code":4001*'
    check "$proxy writes down the API request" grep --quiet '"method":"POST","path":"[\]*/apps[\]*/1[\]*/events","status":200' "$work/$proxy-$front/access.log"
    kill "$listener"
    unset 'pids[-1]'
}
behind nginx "$nginx" "$narrow_nginx"
check "nginx asks one node about a socket that is refused, not all of them" grep --quiet '"path":"/app/.*"status":503,.*"node":"503"}' "$work/nginx-$nginx/access.log"
behind haproxy "$haproxy" "$narrow_haproxy"

# --- What doctor says of the way through a proxy ---

# Fails unless the report has a line like this, and no FIX but those that are meant.
doctor() {
    local port=$1 fixes=$2 line=$3 report
    report=$(MICRONOTIFIER_SECRET=$secret "$node_bin" doctor "http://127.0.0.1:$port" --app 1 --app-key "$KEY" 2>&1) || true
    echo "$report"
    [[ $(grep --count '^FIX' <<<"$report") -eq $fixes ]] && grep --quiet --extended-regexp "$line" <<<"$report"
}
start_nginx "$hasty_nginx" 200 's|proxy_read_timeout 300s|proxy_read_timeout 1s|'
start_nginx "$deaf_nginx" 200 '/proxy_set_header Upgrade/d'
check "GET /up through the hasty nginx" wait_for healthy "$hasty_nginx"
check "GET /up through the deaf nginx" wait_for healthy "$deaf_nginx"
check "the connections of this address are gone" wait_for "$node_bin" doctor "http://127.0.0.1:$nginx" --app-key "$KEY" --quick
check "doctor finds the way through nginx well" doctor "$nginx" 0 '^OK +silence +after [3-6] s without a word the server asks'
check "doctor finds the way through haproxy well" doctor "$haproxy" 0 '^OK +silence +after [3-6] s without a word the server asks'
check "doctor finds an nginx that waits too short a time" doctor "$hasty_nginx" 1 '^FIX +silence +cut after [12] s .* for 4 s .*proxy_read_timeout'
check "doctor finds an nginx that does not pass the upgrade on" doctor "$deaf_nginx" 1 '^FIX +upgrade +the proxy does not pass the upgrade on'
kill "${pids[0]}"
status=0
wait "${pids[0]}" || status=$?
check "the node ends with 0 on SIGTERM" matches "$status" 0
check "doctor finds an nginx without a node" doctor "$nginx" 1 '^FIX +upgrade +the proxy does not reach the node'

logs=("$work"/{nginx,haproxy}-*/{access,error}.log "$work/node.log")
check "no signature and no secret is in the logs" refused grep --extended-regexp "auth_signature|$secret" "${logs[@]}"

conclude docker
