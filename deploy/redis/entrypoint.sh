#!/bin/sh
# Renders the configuration and the users of one node from the templates, the environment and the secrets, into files in
# memory that only the server's user can read, then becomes the server. No secret is ever an argument of a program: only
# what the shell does itself (printf, here-documents) touches them.
#
#   REDIS_CONFIG   folder of the templates              NODE_PORT          where clients connect
#   REDIS_RUN      folder in memory, for what is made   NODE_IP            where the other nodes find this one
#   REDIS_DATA     folder that stays                    NODE_HOSTNAME      what clients are told, instead of the address
#   REDIS_SECRETS  folder of redis_app, redis_ops, redis_repl and redis_monitor
#   REDIS_TLS      folder of cert.pem, key.pem and ca.pem; without it there is no TLS
set -euf
umask 077

fail() {
  echo "entrypoint: $1" >&2
  exit 64
}

: "${REDIS_CONFIG:?}" "${REDIS_RUN:?}" "${REDIS_DATA:?}" "${REDIS_SECRETS:?}" "${NODE_PORT:?}" "${NODE_IP:?}"
: "${NODE_BIND:=* -::*}"
: "${NODE_BUS_PORT:=$((NODE_PORT + 10000))}"
: "${NODE_HOSTNAME:=}"
: "${NODE_TIMEOUT_MS:=5000}"
: "${NODE_FULL_COVERAGE:=yes}"
: "${NODE_APPENDONLY:=yes}"
: "${NODE_MAXMEMORY:=512mb}"
: "${NODE_MAXMEMORY_POLICY:=noeviction}"
: "${NODE_MIN_REPLICAS:=0}"
: "${NODE_BACKLOG:=64mb}"
: "${APP_KEYS:=~*}"
: "${APP_CHANNELS:=&*}"

[ "$NODE_BUS_PORT" -le 65535 ] || fail "the bus port $NODE_BUS_PORT is above 65535: choose a NODE_PORT up to 55535"

# Sets $secret. What reads it in the configuration takes one line of plain characters.
read_secret() {
  [ -r "$REDIS_SECRETS/$1" ] || fail "the secret $1 is missing or cannot be read"
  secret=$(cat "$REDIS_SECRETS/$1")
  case $secret in
    *[!A-Za-z0-9._~+/=-]*) fail "the secret $1 must be of letters, digits and . _ ~ + / = - only" ;;
  esac
  [ "${#secret}" -ge 16 ] || fail "the secret $1 must be at least 16 characters long"
}

hash_of() {
  read_secret "$1"
  if command -v sha256sum >/dev/null; then
    printf %s "$secret" | sha256sum | cut -d ' ' -f 1
  else
    printf %s "$secret" | shasum -a 256 | cut -d ' ' -f 1
  fi
}

# A failure within $(…) of an assignment ends the script.
APP_HASH=$(hash_of redis_app)
OPS_HASH=$(hash_of redis_ops)
REPL_HASH=$(hash_of redis_repl)
MONITOR_HASH=$(hash_of redis_monitor)
read_secret redis_repl
REPL_PASSWORD=$secret

mkdir -p "$REDIS_RUN"

NODE_NAMES=
if [ -n "$NODE_HOSTNAME" ]; then
  NODE_NAMES="cluster-announce-hostname $NODE_HOSTNAME
cluster-preferred-endpoint-type hostname"
fi

NODE_LISTEN="port $NODE_PORT"
if [ -n "${REDIS_TLS:-}" ]; then
  for name in cert key ca; do
    [ -r "$REDIS_TLS/$name.pem" ] || fail "$REDIS_TLS/$name.pem is missing or cannot be read"
    cat "$REDIS_TLS/$name.pem" >"$REDIS_RUN/$name.pem"
  done
  NODE_LISTEN="port 0
tls-port $NODE_PORT
tls-replication yes
tls-cluster yes
tls-auth-clients no
tls-protocols \"TLSv1.2 TLSv1.3\"
tls-cert-file \"$REDIS_RUN/cert.pem\"
tls-key-file \"$REDIS_RUN/key.pem\"
tls-ca-cert-file \"$REDIS_RUN/ca.pem\""
fi

# Only what the templates name is filled in, and what is filled in is not looked at again.
render() {
  eval "cat <<END_OF_TEMPLATE
$(cat "$REDIS_CONFIG/$1.template")
END_OF_TEMPLATE" >"$REDIS_RUN/$2"
}
render node.conf redis.conf
render users.acl users.acl
unset secret REPL_PASSWORD

# The images of Redis begin as root, hand the data folder to their user and go on as that user.
if [ "$(id -u)" = 0 ] && command -v docker-entrypoint.sh >/dev/null; then
  chown -R redis:redis "$REDIS_RUN"
  exec docker-entrypoint.sh redis-server "$REDIS_RUN/redis.conf"
fi
exec redis-server "$REDIS_RUN/redis.conf"
