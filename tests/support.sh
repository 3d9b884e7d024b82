# What the scripts of the tests share, to be sourced: packages of the system, checks that are counted, waiting for something.
# Whoever checks has a directory $work (`begin_work`) and says at the end `conclude NAME`; whoever waits has DEADLINE_SECONDS.
# shellcheck shell=bash

# Installs those packages of Debian.
install_packages() {
    local as_root=()
    [[ $(id -u) -eq 0 ]] || as_root=(sudo --non-interactive)
    "${as_root[@]}" apt-get update --quiet
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --quiet --no-install-recommends "$@"
}

# Makes the directory $work; when the script ends it is removed, and the processes of $pids are ended.
begin_work() {
    work=$(mktemp -d)
    pids=()
    trap finish_work EXIT
}
finish_work() {
    ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
    wait
    rm -rf "$work"
}

# Says that many free ports, below those that the kernel gives to outgoing connections, so that none is taken meanwhile.
free_ports() {
    python3 -c 'import random, socket, sys
free = []
for port in random.sample(range(15000, 32000), 1000):
    try:
        socket.create_server(("0.0.0.0", port)).close()
    except OSError:
        continue
    free.append(port)
    if len(free) == int(sys.argv[1]):
        break
print(*free)' "$1"
}

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
is() { [[ $1 == "$2" ]] || { printf 'got %q, wanted %q\n' "$1" "$2"; return 1; }; }
matches() { [[ $1 == $2 ]] || { printf 'got %q, wanted %q\n' "$1" "$2"; return 1; }; }

# Tries a command until it succeeds or the deadline has passed.
wait_for() {
    local end=$((SECONDS + DEADLINE_SECONDS))
    until "$@"; do
        ((SECONDS < end)) || { echo "still not after $DEADLINE_SECONDS s: $*"; return 1; }
        read -r -t 0.2 <> <(:) || true
    done
}

# Says how many checks passed and failed; fails if one has.
conclude() {
    printf '%s: %d passed, %d failed\n' "$1" "$passed" "$failed"
    ((failed == 0))
}
