#!/usr/bin/env bash
# The program as releases have it, from this checkout: the same bytes wherever it lies and whoever builds it, from the same commit with
# the same rustc, C compiler and linker. Arguments go on to cargo:
#
#   deploy/release/build.sh --features mimalloc
set -euo pipefail
cd "$(dirname "$0")/../.."

# Where things lie must not be in the program: panics of Rust and errors of AWS-LC name their source files.
root=$PWD
cargo_home=$(realpath "${CARGO_HOME:-$HOME/.cargo}")
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export RUSTFLAGS="--remap-path-prefix=$root=/foregate --remap-path-prefix=$target=/target --remap-path-prefix=$cargo_home=/cargo"
export CFLAGS="${CFLAGS:-} -ffile-prefix-map=$root=/foregate -ffile-prefix-map=$target=/target -ffile-prefix-map=$cargo_home=/cargo"
export CARGO_INCREMENTAL=0 SOURCE_DATE_EPOCH=0 LC_ALL=C TZ=UTC

cargo build --release --locked --bin foregate "$@"
sha256sum "$target/release/foregate"
