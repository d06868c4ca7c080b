#!/bin/sh
# Runs the whole benchmark, as benches/README.md tells. Arguments: rounds, seconds of each, sessions for memory.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-9} seconds=${2:-2} million=${3:-1000000}
program=$(cargo bench --quiet --no-run --bench checks --features mimalloc --message-format=json |
    sed -n 's/.*"name":"checks".*"executable":"\([^"]*\)".*/\1/p')
for connections in 1 32; do "$program" compare "$rounds" "$seconds" "$connections" 100000; done
"$program" proxies "$rounds" "$seconds" 32
if command -v valgrind >/dev/null; then "$program" instructions; else echo "instructions: no valgrind here"; fi
for groups in 20 50; do
    for lists in 1000 "$million"; do "$program" memory "$million" "$groups" "$lists"; done
done
"$program" hostile "$rounds" "$seconds" 10000
taskset -c 0 "$program" decision
taskset -c 0 "$program" rules
"$program" tokens "$rounds" "$seconds" 32
if command -v python3 >/dev/null; then benches/fastapi/run.sh "$program" "$rounds" "$seconds"; else echo "fastapi: no python3 here"; fi
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
if [ -z "$bin" ]; then echo "replicas: no PostgreSQL here"; exit; fi
home=$(mktemp -d)
as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
if [ "$(id -u)" = 0 ]; then chown postgres "$home"; fi
trap 'as_postgres "$bin/pg_ctl" -s -D "$home/data" -m immediate stop; rm -rf "$home"' EXIT
as_postgres "$bin/initdb" -A trust -U postgres -E UTF8 --locale=C -D "$home/data" >/dev/null
as_postgres "$bin/pg_ctl" -s -w -D "$home/data" -l "$home/log" -o "-h 127.0.0.1 -k $home -p 15497" start
as_postgres "$bin/createdb" -h 127.0.0.1 -p 15497 -U postgres rows
"$program" replicas postgres://postgres@127.0.0.1:15497/postgres 100000
"$program" rows postgres://postgres@127.0.0.1:15497/rows "$million"
