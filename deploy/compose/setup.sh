#!/bin/sh
# Makes .env and the secrets for `docker compose up`. Run it again at will: what is there stays.
#
#   ./setup.sh DOMAIN E-MAIL
set -eu
cd "$(dirname "$0")"
umask 077

fail() { echo "setup.sh: $*" >&2; exit 1; }
[ $# = 2 ] || fail "usage: ./setup.sh example.com you@example.com"
domain=$1 email=$2
case $domain in *[!a-z0-9.-]*|''|.*|*.|*..*) fail "\`$domain\` is no domain in small letters, such as example.com" ;; esac
case $domain in *.*) ;; *) fail "\`$domain\` has no dot: it must be a domain with hosts below it" ;; esac
case $email in *[!A-Za-z0-9.@_+-]*|@*|*@|*@*@*) fail "\`$email\` is no e-mail address" ;; *@*) ;; *) fail "\`$email\` is no e-mail address" ;; esac

# 32 random bytes as 64 digits.
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

mkdir -p secrets
for name in client_secret postgresql_password authentik_secret_key authentik_bootstrap_password; do
  [ -s "secrets/$name" ] || random >"secrets/$name"
done
# Containers read these by bind mounts, as users of their own; the directory stays the owner's alone.
chmod 0644 secrets/client_secret secrets/postgresql_password secrets/authentik_secret_key

if [ -e .env ]; then
  echo ".env is there and stays as it is"
else
  cat >.env <<END
DOMAIN=$domain
ACME_EMAIL=$email
FOREGATE_TAG=0.1.0
AUTHENTIK_TAG=2026.5.4

# Secrets that authentik takes from the environment only.
AUTHENTIK_BOOTSTRAP_PASSWORD=$(cat secrets/authentik_bootstrap_password)
FOREGATE_CLIENT_SECRET=$(cat secrets/client_secret)
END
fi

cat <<END
Point these names at this machine:  id.$domain  auth.$domain  whoami.$domain
Then:                               docker compose up -d
authentik's first person:           akadmin, with the password in secrets/authentik_bootstrap_password
Put people into the group foregate-users, and open https://whoami.$domain
END
