#!/bin/sh
# Checks by known tokens against a FastAPI app that checks the same tokens by itself: the program that `make bench` builds, rounds,
# seconds of each. One server on the first core, the load on the second.
set -eu
program=$1 rounds=$2 seconds=$3
here=$(cd "$(dirname "$0")" && pwd)
home=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; exec 3>&-; rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
mkfifo "$home/input"
taskset -c 0 "$program" serve-foregate-tokens <"$home/input" >"$home/told" &
exec 3>"$home/input"
until [ -s "$home/told" ]; do sleep 0.2; done
read -r foregate cookies <"$home/told"
files=$(dirname "$cookies") port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
ISSUER=$(cat "$files/issuer") PYTHONPATH=$here taskset -c 0 "$home/venv/bin/uvicorn" app:app --host 127.0.0.1 --port "$port" --log-level warning --no-access-log &
server=$!
until python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null; do sleep 0.2; done
for _ in $(seq "$rounds"); do
    ours=$(taskset -c 1 "$program" load "$foregate" "$files/tokens" "${seconds}s" 32 | cut -d' ' -f1)
    theirs=$(taskset -c 1 "$program" load-page "127.0.0.1:$port" "$files/tokens" "${seconds}s" 32 / | cut -d' ' -f1)
    echo "$ours $theirs"
done | awk '{ print "requests/s by known tokens, foregate / FastAPI with PyJWT:", $1 / $2 }'
