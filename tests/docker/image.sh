#!/usr/bin/env bash
# Builds the image's final stage with buildah, runs it as the user it names, and asks its health check. Not a part of tests/run.sh.
# Needs root, the release binary, and apt-get where buildah or debootstrap is missing. The base is a Debian bookworm made here by debootstrap
# (two minutes, once) in place of debian:bookworm-slim, and the binary is this machine's: what stays untried is Docker's engine,
# the published base images, and the build stage (cargo in rust:1.95-slim-bookworm).
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/support.sh

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
node_bin=${MICRONOTIFIER_BIN:-$target/release/micronotifier}
work=$target/image
readonly BASE=docker.io/library/debian:bookworm-slim IMAGE=localhost/micronotifier DEADLINE_SECONDS=20
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot

[[ -x $node_bin ]] || { echo "there is no $node_bin: build the release first"; exit 1; }
[[ $(id -u) -eq 0 ]] || { echo "root is needed: the image's files have owners"; exit 1; }
{ command -v buildah && command -v debootstrap; } >/dev/null || install_packages buildah debootstrap
mkdir -p "$work"
build() { buildah --root "$work/storage" --runroot "$work/run" "$@"; }

# --- The base, once ---

if ! build inspect --type image "$BASE" >/dev/null 2>&1; then
    echo "        debootstrap makes a base …"
    mirror=$(grep --recursive --no-filename --extended-regexp --only-matching '^(deb|URIs:) +https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
        grep --extended-regexp --only-matching 'http[^ ]+' | head -n 1) || true
    rm -rf "$work/root"
    debootstrap --variant=minbase bookworm "$work/root" "${mirror:-http://deb.debian.org/debian}" >"$work/debootstrap.log"
    base=$(build from scratch)
    build add --quiet "$base" "$work/root" / >/dev/null
    build config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd bash "$base"
    build commit --quiet --rm "$base" "$BASE" >/dev/null
    rm -rf "$work/root"
fi

# --- The image ---

# The context `build` stands for the stage of that name.
install -D "$node_bin" "$work/built/usr/local/bin/micronotifier"
check "buildah takes the Dockerfile" build bud --quiet --pull-never --format docker --build-context build="$work/built" \
    --file docker/Dockerfile --tag "$IMAGE" .
told() { build inspect --type image --format "{{.Docker.Config.$1}}" "$IMAGE"; }
check "the image names its user" is "$(told User)" 10001:10001
check "and its health check" is "$(told Healthcheck.Test)" "[CMD healthy]"

container=$(build from --pull-never "$IMAGE")
node=
finish() {
    [[ -z $node ]] || kill "$node" 2>/dev/null || true
    wait
    build rm "$container" >/dev/null
}
trap finish EXIT

inside() { build run "$container" -- "$@"; }
check "it runs as that user, without a home" is "$(inside sh -c 'echo "$(id -u):$(id -g) $HOME"')" "10001:10001 /nonexistent"
check "its program and its file are not that user's to change" refused inside sh -c \
    'test -w /usr/local/bin/micronotifier || test -w /usr/local/bin/healthy || test -w /etc/micronotifier/config.json'
check "all libraries of the program are there" inside sh -c '! ldd /usr/local/bin/micronotifier | grep "not found"'
check "check takes the image's file" inside micronotifier check -c /etc/micronotifier/config.json

# Isolation by chroot: the container has the ports of this machine.
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
variables=(--env "MICRONOTIFIER__PORT=$port" --env MICRONOTIFIER__ADMIN_PORT=0)
healthy() { build run "${variables[@]}" "$container" -- healthy; }
check "the health check finds nobody before the start" refused healthy
build run "${variables[@]}" "$container" -- micronotifier serve -c /etc/micronotifier/config.json 2>"$work/node.log" &
node=$!
serves() {
    local end=$((SECONDS + DEADLINE_SECONDS))
    until healthy; do
        ((SECONDS < end)) || { cat "$work/node.log"; return 1; }
    done
}
check "the health check finds the node" serves
# The node's process, found by the variable that was given to it, among those of the image's user alone.
process=$(for pid in $(pgrep --uid 10001 micronotifier); do
    tr '\0' '\n' <"/proc/$pid/environ" | grep --quiet --line-regexp "MICRONOTIFIER__PORT=$port" && echo "$pid"
done) || true
check "whose process is that user's" test -n "$process"
kill "${process:-$node}"
status=0
wait "$node" || status=$?
node=
check "it ends with 0 on SIGTERM" is "$status" 0

conclude image
