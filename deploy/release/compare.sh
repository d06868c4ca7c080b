#!/usr/bin/env bash
# Builds this checkout twice, in two places and with two homes of cargo, and compares the bytes. Arguments go on to cargo.
set -euo pipefail
cd "$(dirname "$0")/../.."

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
first=$place/a second=$place/somewhere/else/b
for copy in "$first" "$second"; do
    mkdir -p "$copy/checkout"
    git archive HEAD | tar -x -C "$copy/checkout"
    (
        unset CARGO_TARGET_DIR
        export CARGO_HOME=$copy/cargo-home
        # The crates as they were fetched, so that nothing is downloaded twice.
        mkdir -p "$CARGO_HOME"
        cp -a "${CARGO_REGISTRY:-$HOME/.cargo/registry}" "$CARGO_HOME/registry"
        "$copy/checkout/deploy/release/build.sh" "$@"
    )
done
cmp "$first/checkout/target/release/foregate" "$second/checkout/target/release/foregate"
if strings "$first/checkout/target/release/foregate" | grep -F "$place"; then
    echo "the program names where it was built" >&2
    exit 1
fi
echo "the same bytes twice"
