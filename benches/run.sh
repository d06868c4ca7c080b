#!/bin/sh
# Runs the whole benchmark, as benches/README.md tells. Arguments: rounds, seconds of each, sessions for memory.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-9} seconds=${2:-2} million=${3:-1000000}
program=$(cargo bench --quiet --no-run --bench checks --features mimalloc --message-format=json |
    sed -n 's/.*"name":"checks".*"executable":"\([^"]*\)".*/\1/p')
for connections in 1 32; do "$program" compare "$rounds" "$seconds" "$connections" 100000; done
if command -v valgrind >/dev/null; then "$program" instructions; else echo "instructions: no valgrind here"; fi
"$program" memory "$million" 20
"$program" memory "$million" 50
taskset -c 0 "$program" decision
