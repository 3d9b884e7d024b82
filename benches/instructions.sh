#!/usr/bin/env bash
# Counts instructions: what one delivery, one encoded frame, one frame of a client, one signature take, without system calls.
# Usage: benches/instructions.sh [--write]      --write makes what is counted the new baseline.
# Prints a table, and compares it with benches/instructions.baseline.
# Exit codes: 0 within 10 % of the baseline; 1 something takes more; 69 valgrind is missing; 64 usage.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly BASELINE=benches/instructions.baseline TOLERANCE=10
# The difference of two runs is what the rounds between them took, without what comes before and after.
readonly FEW=20 MANY=60

case ${1:-} in
    '' | --write) (($# < 2)) || { sed -n 3p "$0" >&2; exit 64; } ;;
    *) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
if ! command -v valgrind >/dev/null; then
    echo "nothing was counted: valgrind is missing (apt-get install valgrind)" >&2
    exit 69
fi

binary=$(cargo build --release --locked --bench instructions --message-format=json |
    sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints how many instructions so many rounds of a part take, with everything around them.
collect() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

while read -r part count; do
    few=$(collect "$part" "$FEW") many=$(collect "$part" "$MANY")
    echo "$part $(((many - few) / ((MANY - FEW) * count)))"
done < <("$binary") >"$work/counted"

[[ ${1:-} != --write ]] || {
    {
        echo "# instructions, $(uname -m), $(rustc --version | cut -d' ' -f1,2); written by benches/instructions.sh --write"
        cat "$work/counted"
    } >"$BASELINE"
}

if ! head -1 "$BASELINE" | grep -q " $(uname -m),"; then
    echo "the baseline is of another processor; nothing is compared" >&2
    cat "$work/counted"
    exit 0
fi
awk -v tolerance="$TOLERANCE" '
    BEGIN { print "| part | instructions | baseline | change |\n|---|---|---|---|" }
    /^#/ { next }
    NR == FNR { baseline[$1] = $2; next }
    {
        change = ($1 in baseline) ? ($2 / baseline[$1] - 1) * 100 : 0
        verdict = !($1 in baseline) || change > tolerance
        printf "| %-22s | %6d | %6s | %+.1f %%%s |\n", $1, $2, ($1 in baseline) ? baseline[$1] : "none", change, verdict ? " TOO MUCH" : ""
        broken += verdict
    }
    END { exit broken > 0 }
' "$BASELINE" "$work/counted"
