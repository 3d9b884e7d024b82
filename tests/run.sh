#!/usr/bin/env bash
# Installs what the tests need, runs all of them, and sums up: one line a part, then "N passed, N failed".
# Usage: tests/run.sh [PART…]     parts: lints cargo cluster build sdk python docker watch front lab costs autobahn fuzz; all of them without an argument.
# Nothing is skipped: what is missing and cannot be installed fails its part. Fuzzing alone needs a nightly
# toolchain; where there is none, the summary says so. So it does where there is no earlier release to roll from.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/support.sh

readonly FUZZ_SECONDS=20
readonly NO_EARLIER_RELEASE=3 # what previous.sh ends with then
readonly ALL_PARTS=(lints cargo cluster build sdk python docker watch front lab costs autobahn fuzz)

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
logs=$target/tests
venv=$logs/venv
export PATH=$PATH:/usr/sbin
export MICRONOTIFIER_BIN=${MICRONOTIFIER_BIN:-$target/release/micronotifier}
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}

# --- The parts. Each runs in a shell of its own and stops at its first error. ---

lints() {
    local broken=0
    verdict formatting cargo fmt --all --check || broken=1
    verdict clippy cargo clippy --workspace --all-targets --locked -- -D warnings || broken=1
    # a target that runs by its name alone is not among all targets, and not looked at beside them
    verdict "clippy of the cluster tests" cargo clippy --workspace --test cluster --locked -- -D warnings || broken=1
    verdict documentation env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked || broken=1
    return "$broken"
}

cargo_tests() { cargo test --workspace --locked --no-fail-fast; }

cluster_tests() {
    { command -v redis-server && command -v redis-sentinel; } >/dev/null || install_packages redis-server redis-sentinel
    # they wait more than they work: for Redis, leases and repairs
    cargo test --workspace --locked --test cluster -- --test-threads=4
}

build() {
    verdict "release build" cargo build --release --locked
    verdict "build of the lab" cargo build --release --locked --package micronotifier-lab
    # what the rolling change begins with; where there is none, nothing has passed
    local status=0
    tests/front/previous.sh || status=$?
    ((status == NO_EARLIER_RELEASE)) || verdict "build of the release before it" test "$status" -eq 0
}

lab_tests() {
    { command -v redis-server && command -v redis-sentinel && command -v nginx; } >/dev/null || install_packages redis-server redis-sentinel nginx-light
    cargo build --release --locked --package micronotifier-lab
    ulimit -Sn hard # most systems begin with 1024 descriptors: too few for its sockets
    "$target/release/micronotifier-lab" run gate --node "$MICRONOTIFIER_BIN" --out "$target/lab"
}

sdk() {
    need node "Node.js 20 or later"
    need npm "npm"
    [[ -x $CHROMIUM ]] || install_packages chromium
    command -v redis-server >/dev/null || install_packages redis-server
    npm ci --prefix tests/sdk
    npm ci --prefix examples/chat
    npm test --prefix tests/sdk
}

python_tests() {
    prepare_python tests/sdk/python/requirements.txt
    "$venv/bin/python" -m unittest discover --verbose --start-directory tests/sdk/python
}

docker_tests() { tests/docker/run.sh; }

watch_tests() { tests/watch/run.sh; }

front_tests() {
    local status=0 pattern='test*.py'
    { command -v nginx && command -v haproxy && command -v redis-server; } >/dev/null || install_packages nginx-light haproxy redis-server
    prepare_python tests/front/requirements.txt
    MICRONOTIFIER_PREVIOUS_BIN=$(tests/front/previous.sh) || status=$?
    export MICRONOTIFIER_PREVIOUS_BIN
    case $status in
        0) ;;
        "$NO_EARLIER_RELEASE")
            echo "there is no earlier release: nothing was rolled"
            pattern='test_[!r]*.py' # all but the rolling change
            ;;
        *) return "$status" ;;
    esac
    "$venv/bin/python" -m unittest discover --verbose --start-directory tests/front --pattern "$pattern"
}

# instructions of a delivery, an event, a frame, a signature: what is paid for each of them is seen here first
costs() {
    command -v valgrind >/dev/null || install_packages valgrind
    verdict "instructions beside their baseline" cargo bench --locked --bench instructions
}

autobahn() { tests/autobahn/run.sh; }

fuzz() { tests/fuzz/run.sh "$FUZZ_SECONDS"; }

# --- What the parts use ---

need() { command -v "$1" >/dev/null || { echo "$2 is missing: no $1 in PATH"; exit 1; }; }

# Makes the environment of Python, with the packages of a file.
prepare_python() {
    need python3 "Python 3.11 or later"
    [[ -x $venv/bin/python ]] || python3 -m venv "$venv" || {
        install_packages python3-venv
        python3 -m venv --clear "$venv"
    }
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$1"
}

# Runs a command that is one check by itself.
verdict() {
    local name=$1
    shift
    if "$@"; then
        echo "$name: 1 passed, 0 failed"
    else
        echo "$name: 0 passed, 1 failed"
        return 1
    fi
}

# Reads a part's output and prints how many passed and failed; what was skipped or cancelled has not passed.
count() {
    awk '
        /^test result:/                              { passed += $4; failed += $6 }        # cargo test
        /^ℹ pass [0-9]+$/                            { passed += $3 }                      # node --test
        /^ℹ (fail|cancelled|skipped|todo) [0-9]+$/   { failed += $3 }
        /^Ran [0-9]+ tests? in /                     { passed += $2 }                      # unittest
        /^FAILED \(|^OK \(/ {
            while (match($0, /(failures|errors|skipped)=[0-9]+/)) {
                split(substr($0, RSTART, RLENGTH), pair, "=")
                failed += pair[2]; passed -= pair[2]
                $0 = substr($0, RSTART + RLENGTH)
            }
        }
        /^[A-Za-z0-9_ -]+: [0-9]+ passed, [0-9]+ failed$/  { n = split($0, word, " "); passed += word[n - 3]; failed += word[n - 1] }
        END { print (passed > 0 ? passed : 0), failed + 0 }
    ' "$1"
}

# Prints what a part's output says of what failed, each with the lines below that tell why; its end where nothing is said.
complaints() {
    awk '
        /^test .* \.\.\. FAILED$/                                  { print; next }               # cargo test
        /^ *✖ /                                                     { why = 6 }                  # node --test
        /^(FAIL|ERROR): /                                           { why = 30 }                 # unittest
        /^FAILED  /                                                 { why = 10 }                 # support.sh
        /^[A-Za-z0-9_ -]+: [0-9]+ passed, [1-9][0-9]* failed$/      { why = 12 }
        / panicked at |^error(\[E[0-9]+\])?: /                      { why = 8 }
        why > 0                                                     { print; why -= 1 }
    ' "$1" | head --lines=120 | grep . || tail --lines=20 "$1"
}

# Runs one part, shows and keeps its output, and adds its line to the summary.
run_part() {
    local name=$1 function=$2 log=$logs/$1.log status passed failed started=$SECONDS
    printf '\n=== %s ===\n' "$name"
    set +e # not `if`: errors inside a condition would not stop the part
    (
        set -e
        "$function"
    ) 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    set -e
    read -r passed failed < <(count "$log")
    if grep --quiet 'nothing was fuzzed' "$log"; then
        summary+=("$(printf '%-9s not run: needs a nightly toolchain' "$name")")
        return
    fi
    if grep --quiet 'nothing was rolled' "$log"; then
        summary+=("rolling   not run: there is no earlier release")
    fi
    if ((failed == 0 && (passed == 0 || status != 0))); then failed=$((failed + 1)); fi
    if ((failed > 0)); then broken+=("$name"); fi
    total_passed=$((total_passed + passed))
    total_failed=$((total_failed + failed))
    summary+=("$(printf '%-9s %5d passed, %d failed  (%d s)' "$name" "$passed" "$failed" $((SECONDS - started)))")
}

total_passed=0
total_failed=0
summary=()
broken=()
mkdir -p "$logs"
(($# > 0)) || set -- "${ALL_PARTS[@]}"
for part in "$@"; do
    case $part in
        lints | build | sdk | costs | autobahn | fuzz) run_part "$part" "$part" ;;
        cargo | cluster | python | docker | watch | front | lab) run_part "$part" "${part}_tests" ;;
        *) echo "no such part: $part (there are: ${ALL_PARTS[*]})"; exit 64 ;;
    esac
done

# the end of the output is what is looked at, and often all that is kept
for part in "${broken[@]}"; do
    printf '\n=== what failed in %s ===\n' "$part"
    complaints "$logs/$part.log"
done
printf '\n=== summary ===\n'
printf '%s\n' "${summary[@]}"
printf '%d passed, %d failed\n' "$total_passed" "$total_failed"
((total_failed == 0))
