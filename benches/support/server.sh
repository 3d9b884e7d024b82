# What the scripts that measure share: one server at a time, fresh for each measurement, and medians. Sourced.
# Wants: `work`, a folder that the script removes; `target`, where the release binaries are; `node_bin`.
# shellcheck shell=bash

readonly HOST=127.0.0.1 START_SECONDS=10
server='' address=''

# Starts a server, `floor` or `node`, the node with `$work/node.json`; sets `server` to its process and `address`
# to where it listens.
start() {
    address=
    : >"$work/server.log"
    case $1 in
        floor) "$target/floor" "$HOST:0" >"$work/server.log" 2>&1 & ;;
        node) "$node_bin" serve -c "$work/node.json" >"$work/server.log" 2>&1 & ;;
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

# Prints one figure of a load generator's line of JSON.
figure() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" <<<"$2"; }

# Prints the median of the numbers in a file, if there is one.
median() {
    [[ -f $1 ]] || return 0
    sort -n "$1" | awk '{value[NR] = $1} END {print NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2}'
}
