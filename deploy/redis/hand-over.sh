#!/bin/sh
# Before a node is ended on purpose: if it is a primary, a replica takes its place first, so that nothing has to be elected
# and nothing is lost. Best effort: whatever comes of it, the node is ended afterwards, and then an election takes its
# place after the node timeout. Nothing is done where there is no replica that has caught up.
set -eu
: "${REDIS_SECRETS:?}" "${NODE_PORT:?}" "${NODE_PROBE_HOST:=127.0.0.1}" "${HAND_OVER_SECONDS:=20}"

REDISCLI_AUTH=$(cat "$REDIS_SECRETS/redis_ops")
export REDISCLI_AUTH

bounded=
if command -v timeout >/dev/null; then bounded='timeout 3'; fi

ask() {
  host=$1 port=$2
  shift 2
  set -- -h "$host" -p "$port" --user ops --no-auth-warning "$@"
  [ -z "${REDIS_TLS:-}" ] || set -- --tls --cacert "$REDIS_TLS/ca.pem" "$@"
  $bounded redis-cli "$@" | tr -d '\r'
}

role() {
  ask "$NODE_PROBE_HOST" "$NODE_PORT" INFO replication | sed -n 's/^role://p'
}

[ "$(role)" = master ] || exit 0
# slave0:ip=10.0.0.5,port=6379,state=online,offset=…,lag=0: the one that has come furthest.
successor=$(ask "$NODE_PROBE_HOST" "$NODE_PORT" INFO replication |
  sed -n 's/^slave[0-9]*:ip=\([^,]*\),port=\([0-9]*\),state=online,offset=\([0-9]*\),.*/\3 \1 \2/p' |
  sort -rn | head -n 1)
if [ -z "$successor" ]; then
  echo 'hand-over: no replica is online' >&2
  exit 0
fi
# shellcheck disable=SC2086
set -- $successor
echo "hand-over: $2:$3 is to take over" >&2
answer=$(ask "$2" "$3" CLUSTER FAILOVER 2>&1) || true
if [ "$answer" != OK ]; then
  echo "hand-over: $answer" >&2
  exit 0
fi
left=$HAND_OVER_SECONDS
while [ "$left" -gt 0 ]; do
  [ "$(role)" = master ] || exit 0
  sleep 1
  left=$((left - 1))
done
echo 'hand-over: not done in time' >&2
