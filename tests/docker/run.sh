#!/usr/bin/env bash
# Checks docker/ without a Docker engine: linters, what the build is given, and the real nginx with its file before the real node.
# Needs the release binary, python3, PyPI (once) and apt-get where there is no nginx. What it cannot check: that the image builds and runs.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
node_bin=${MICRONOTIFIER_BIN:-$target/release/micronotifier}
venv=$target/docker/venv
export PATH=$PATH:/usr/sbin
readonly KEY=docker-key TLS_KEY=docker-tls-key DEADLINE_SECONDS=10

[[ -x $node_bin ]] || { echo "there is no $node_bin: build the release first"; exit 1; }
if ! command -v nginx >/dev/null; then
    as_root=()
    [[ $(id -u) -eq 0 ]] || as_root=(sudo --non-interactive)
    "${as_root[@]}" apt-get update --quiet
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --quiet --no-install-recommends nginx-light
fi
if ! cmp --quiet tests/docker/requirements.txt "$venv/installed"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement tests/docker/requirements.txt
    cp tests/docker/requirements.txt "$venv/installed"
fi

work=$(mktemp -d)
chmod 755 "$work" # nginx's workers are another user's when root starts them
pids=()
finish() {
    ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap finish EXIT

passed=0
failed=0
# Runs a command that is one check; what it printed is shown if it fails.
check() {
    local name=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name"
        sed 's/^/        /' "$work/output"
        failed=$((failed + 1))
    fi
}
refused() { ! "$@"; }
matches() { [[ $1 == $2 ]] || { printf 'got %q, wanted %q\n' "$1" "$2"; return 1; }; }
# Tries a command until it succeeds or the deadline has passed.
wait_for() {
    local end=$((SECONDS + DEADLINE_SECONDS))
    until "$@"; do
        ((SECONDS < end)) || { echo "still not after $DEADLINE_SECONDS s: $*"; return 1; }
        read -r -t 0.05 <> <(:) || true
    done
}

# --- The files ---

schema() { "$venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec "$1"; }
sed 's/cap_drop/cap_drops/' docker/compose.yaml >"$work/wrong.yaml"
check "hadolint takes the Dockerfile" "$venv/bin/hadolint" --failure-threshold style docker/Dockerfile
check "the Compose specification takes compose.yaml" schema docker/compose.yaml
check "it refuses a key that it does not know" refused schema "$work/wrong.yaml"
check "bash takes healthy" bash -n docker/healthy

defaults() { grep --only-matching --extended-regexp '\$\{[A-Z_]+:-[^}]+' docker/compose.yaml | sed 's/^..//; s/:-/=/' | sort -u; }
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

# Four free ports below those that the kernel gives to outgoing connections, so that none is taken meanwhile.
free_ports() {
    python3 -c 'import random, socket
free = []
for port in random.sample(range(15000, 32000), 1000):
    try:
        socket.create_server(("0.0.0.0", port)).close()
    except OSError:
        continue
    free.append(port)
    if len(free) == 4:
        break
print(*free)'
}
environment() {
    "$venv/bin/python" -c 'import re, sys, ruamel.yaml
variables = ruamel.yaml.YAML(typ="safe").load(open("docker/compose.yaml"))["services"]["node"]["environment"]
for name, value in variables.items():
    print(name + "=" + re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value).replace("/run/secrets", sys.argv[1]))' "$work"
}
read -r public admin front narrow < <(free_ports)
secret=$(python3 -c 'import secrets; print(secrets.token_hex(24))')
cat >"$work/applications.json" <<JSON
[{"name": "chat", "id": "1", "key": "$KEY", "secret": "$secret"},
 {"name": "shop", "id": "2", "key": "$TLS_KEY", "secret": "$secret", "tls-only": true}]
JSON
python3 -c 'import secrets; print(secrets.token_hex(24))' >"$work/admin-token"
mapfile -t given < <(environment)
check "the node takes the image's file with the environment of compose.yaml" env "${given[@]}" "$node_bin" check -c docker/node.json
check "it refuses that environment without the token's file" refused \
    env "${given[@]}" MICRONOTIFIER__ADMIN_TOKEN_FILE="$work/none" "$node_bin" check -c docker/node.json

env "${given[@]}" MICRONOTIFIER__PORT="$public" MICRONOTIFIER__ADMIN_PORT="$admin" MICRONOTIFIER__TRUSTED_PROXIES='["127.0.0.1"]' \
    MICRONOTIFIER__LIMITS__MAX_CONNECTIONS_PER_ADDRESS=2 "$node_bin" serve -c docker/node.json 2>"$work/node.log" &
pids+=($!)
healthy() { MICRONOTIFIER__PORT=$1 docker/healthy; }
node_answers() { wait_for healthy "$public" || { cat "$work/node.log"; return 1; }; }
check "the health check finds the node" node_answers
check "and does not find one where none listens" refused healthy "$narrow"

# --- nginx before it ---

# Starts nginx with the file as it is, but for ports, directories and the sockets of one address.
start_nginx() {
    local port=$1 sockets=$2 directory=$work/nginx-$1
    mkdir -m 777 "$directory"
    sed "s|/tmp/|$directory/|; s|listen 8080|listen 127.0.0.1:$port|; s|server node:8111|server 127.0.0.1:$public|
        s|limit_conn sockets 200|limit_conn sockets $sockets|; s|/dev/stdout|$directory/access.log|" docker/nginx.conf >"$directory.conf"
    check "nginx -t takes nginx.conf ($sockets sockets for an address)" nginx -t -q -c "$directory.conf"
    nginx -c "$directory.conf" -g 'daemon off;' 2>"$directory/error.log" &
    pids+=($!)
}
start_nginx "$front" 200
start_nginx "$narrow" 1
check "GET /up through nginx" wait_for healthy "$front"
check "GET /up through the narrow one" wait_for healthy "$narrow"

client() { MICRONOTIFIER_SECRET=$secret "$node_bin" "$1" --url "http://127.0.0.1:$front" --app 1 --app-key "$KEY" "${@:2}"; }
client listen private-docker >"$work/heard" 2>&1 &
listener=$!
pids+=("$listener")
check "listen subscribes to a private channel through nginx" wait_for grep --quiet '^subscribed' "$work/heard"
check "trigger is signed and answered through nginx" client trigger private-docker greeting '{"hello":"docker"}'
check "the event arrives" wait_for grep --quiet --line-regexp 'private-docker greeting {"hello":"docker"}' "$work/heard"
check "a wrong secret is refused" refused env MICRONOTIFIER_SECRET=wrong-wrong-wrong-wrong \
    "$node_bin" trigger --url "http://127.0.0.1:$front" --app 1 --app-key "$KEY" private-docker greeting '{}'

sockets() { python3 tests/docker/sockets.py "$@"; }
forged=127.0.0.2,X-Forwarded-For=192.0.2
mapfile -t answers < <(sockets "$front" "$KEY" "$forged.1" "$forged.2" "$forged.3" 127.0.0.3)
check "the node counts connections by the address that nginx saw" matches "${answers[0]%% *} ${answers[1]%% *} ${answers[3]%% *}" "101 101 101"
check "a client's own X-Forwarded-For does not get round that" matches "${answers[2]}" "503 node"
answer=$(sockets "$front" "$TLS_KEY" 127.0.0.4,X-Forwarded-Proto=https)
check "a client's own X-Forwarded-Proto does not make it TLS" matches "$answer" '101 *"code":4000*'
mapfile -t answers < <(sockets "$narrow" "$KEY" 127.0.0.5 127.0.0.5)
check "nginx refuses an address too many sockets with 503" matches "${answers[0]%% *}, ${answers[1]}" "101, 503 nginx"
mapfile -t answers < <(sockets "$front" no-such-key $(yes 127.0.0.6 | head -n 150))
check "nginx refuses an address too many handshakes with 503" matches "$(printf '%s\n' "${answers[@]}" | grep --count '^503 nginx')" "[1-9]*"
check "the first ones it lets through" matches "${answers[0]}" '101 *"code":4001*'

logs=("$work"/nginx-*/access.log "$work"/nginx-*/error.log "$work/node.log")
check "nginx writes down the API request" grep --quiet '"method":"POST","path":"/apps/1/events","status":200' "$work/nginx-$front/access.log"
check "no signature and no secret is in the logs" refused grep --extended-regexp "auth_signature|$secret" "${logs[@]}"
kill "${pids[0]}" || true
status=0
wait "${pids[0]}" || status=$?
check "the node ends with 0 on SIGTERM" matches "$status" 0

printf 'docker: %d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
