#!/usr/bin/env bash
# Builds the release before this one: the newest commit before the working tree whose program is another one.
# Prints where the binary is. Usage: previous.sh      with MICRONOTIFIER_PREVIOUS_BIN set it prints that and builds nothing.
# Exit codes: 0 done, 1 failed, 3 there is no earlier release to be had: no repository, its first commit, or a shallow clone
# whose history cannot be fetched.
set -euo pipefail
shopt -s inherit_errexit # a build that fails ends what waits for its answer
cd "$(dirname "$0")/../.."

readonly SOURCES=(Cargo.toml Cargo.lock actors/Cargo.toml actors/src config src)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
place=$target/previous
this=${MICRONOTIFIER_BIN:-$target/release/micronotifier}

if [[ -n ${MICRONOTIFIER_PREVIOUS_BIN:-} ]]; then
    echo "$MICRONOTIFIER_PREVIOUS_BIN"
    exit
fi

# Prints the commits whose sources are not this tree's nor those of the commit before them, the newest first.
find_commits() {
    local commit other=
    while read -r commit; do
        git diff --quiet "$commit" -- "${SOURCES[@]}" && continue
        [[ -n $other ]] && git diff --quiet "$other" "$commit" -- "${SOURCES[@]}" && continue
        other=$commit
        echo "$commit"
    done < <(git rev-list --first-parent HEAD)
}

# Builds a commit's program, unless that was done already.
build() {
    local commit=$1
    [[ ! -x $place/$commit/micronotifier ]] || return 0
    echo "the release before this one: $(git log -1 --format='%h %s' "$commit")" >&2
    rm -rf "$place/source"
    mkdir -p "$place/source" "$place/$commit"
    # --touch: Cargo would take sources as old as their commit for those that it has built last
    git archive "$commit" | tar --extract --touch --directory "$place/source"
    # In a target directory of its own: in one, Cargo takes the members of both workspaces for the same. It begins with
    # what this tree's release was built from, so that only the program's own crates are built again.
    if [[ -d $target/release && ! -d $place/target ]]; then
        mkdir "$place/target"
        cp --archive --reflink=auto "$target/release" "$place/target/"
    fi
    cargo build --release --locked --bin micronotifier --manifest-path "$place/source/Cargo.toml" --target-dir "$place/target" >&2
    mv "$place/target/release/micronotifier" "$place/$commit/micronotifier"
}

# Builds until a program is another one than this tree's, and prints where it is. A commit that changes tests and comments alone does not.
find_release() {
    local commit
    while read -r commit <&3; do
        build "$commit"
        cmp --quiet "$place/$commit/micronotifier" "$this" || { echo "$place/$commit/micronotifier"; return; }
    done 3< <(find_commits)
}

git rev-parse --verify --quiet HEAD >/dev/null || { echo "there is no repository: no earlier release" >&2; exit 3; }
release=$(find_release)
if [[ -z $release && $(git rev-parse --is-shallow-repository) == true ]]; then
    if GIT_TERMINAL_PROMPT=0 git fetch --quiet --deepen 100; then release=$(find_release); else echo "the clone is shallow, and its history cannot be fetched" >&2; fi
fi
[[ -n $release ]] || { echo "no commit has another program: no earlier release" >&2; exit 3; }
echo "$release"
