#!/usr/bin/env bash
# Builds the release before this one: the newest commit before the working tree whose program has other sources.
# Prints where the binary is. Usage: previous.sh      with MICRONOTIFIER_PREVIOUS_BIN set it prints that and builds nothing.
# Exit codes: 0 done, 1 failed, 3 there is no earlier release to be had: no repository, its first commit, or a shallow clone
# whose history cannot be fetched.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly SOURCES=(Cargo.toml Cargo.lock actors/Cargo.toml actors/src config src)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
place=$target/previous

if [[ -n ${MICRONOTIFIER_PREVIOUS_BIN:-} ]]; then
    echo "$MICRONOTIFIER_PREVIOUS_BIN"
    exit
fi

find_commit() {
    local commit
    while read -r commit; do
        git diff --quiet "$commit" -- "${SOURCES[@]}" || { echo "$commit"; return; }
    done < <(git rev-list --first-parent HEAD)
}
git rev-parse --verify --quiet HEAD >/dev/null || { echo "there is no repository: no earlier release" >&2; exit 3; }
commit=$(find_commit)
if [[ -z $commit && $(git rev-parse --is-shallow-repository) == true ]]; then
    if git fetch --quiet --deepen 100; then commit=$(find_commit); else echo "the clone is shallow, and its history cannot be fetched" >&2; fi
fi
[[ -n $commit ]] || { echo "no commit has other sources: no earlier release" >&2; exit 3; }

if [[ ! -x $place/micronotifier || $(cat "$place/commit" 2>/dev/null) != "$commit" ]]; then
    echo "the release before this one: $(git log -1 --format='%h %s' "$commit")" >&2
    rm -rf "$place/source" "$place/micronotifier"
    mkdir -p "$place/source"
    # --touch: Cargo would take sources as old as their commit for those that it has built last
    git archive "$commit" | tar --extract --touch --directory "$place/source"
    # In a target directory of its own: in one, Cargo takes the members of both workspaces for the same. It begins with
    # what this tree's release was built from, so that only the program's own crates are built again.
    if [[ -d $target/release && ! -d $place/target ]]; then
        mkdir "$place/target"
        cp --archive --reflink=auto "$target/release" "$place/target/"
    fi
    cargo build --release --locked --bin micronotifier --manifest-path "$place/source/Cargo.toml" --target-dir "$place/target" >&2
    mv "$place/target/release/micronotifier" "$place/micronotifier"
    echo "$commit" >"$place/commit"
fi
echo "$place/micronotifier"
