# What the scripts that measure share: the programs, one server at a time, figures and medians. Sourced in the root of
# the tree. Makes `work`, a folder that is removed at the end; with another trap on EXIT, a script calls `clean_up` in it.
# shellcheck shell=bash

readonly HOST=127.0.0.1 START_SECONDS=10
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/release
node_bin=${MICRONOTIFIER_BIN:-$target/micronotifier}
work=$(mktemp -d)
server='' address=''
trap clean_up EXIT

# Builds what is measured and what measures.
build() {
    cargo build --release --locked -p micronotifier-load
    [[ -n ${MICRONOTIFIER_BIN:-} ]] || cargo build --release --locked -p micronotifier
}

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

clean_up() {
    stop
    rm -rf "$work"
}

# Prints what the node tells its operator of `metrics`, or another page.
operator() { curl -sSf "$(sed -n "s|.*operator's page on \(http.*\)|\1|p" "$work/server.log")$1"; }

# Makes the certificate and key of a node that speaks TLS, `$work/cert.pem` and `$work/key.pem`. The load generator is
# told to believe it.
write_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$HOST" \
        -addext "subjectAltName=IP:$HOST" -addext basicConstraints=critical,CA:FALSE \
        -keyout "$work/key.pem" -out "$work/cert.pem" 2>"$work/openssl.log" || { cat "$work/openssl.log" >&2; return 1; }
}

# Tells whether a measurement went without errors. One that did not is void, which is said.
is_valid() {
    grep -q '"errs":{}' <<<"$2" || { echo "$1: there were errors; its figures are void and left out" >&2; return 1; }
}

# Prints one figure of a load generator's line of JSON.
figure() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" <<<"$2"; }

# Prints the median of the numbers in a file, if there is one.
median() {
    [[ -f $1 ]] || return 0
    sort -n "$1" | awk '{value[NR] = $1} END {print NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2}'
}
