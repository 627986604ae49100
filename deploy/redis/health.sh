#!/bin/sh
# Is this node well? Never: is the cluster. A node of a broken cluster that is restarted for it does not mend the cluster.
#
#   health.sh live     it answers, if only that it reads its data or runs a long script. Else restart it
#   health.sh up       it serves
#   health.sh synced   it serves, and a replica has caught up with its primary: the next one may be restarted
set -eu
: "${REDIS_SECRETS:?}" "${NODE_PORT:?}" "${NODE_PROBE_HOST:=127.0.0.1}"

# In the environment and not among the arguments, which every user of the machine can read.
REDISCLI_AUTH=$(cat "$REDIS_SECRETS/redis_monitor")
export REDISCLI_AUTH

bounded=
if command -v timeout >/dev/null; then bounded='timeout 3'; fi

ask() {
  set -- -h "$NODE_PROBE_HOST" -p "$NODE_PORT" --user monitor --no-auth-warning "$@"
  [ -z "${REDIS_TLS:-}" ] || set -- --tls --cacert "$REDIS_TLS/ca.pem" "$@"
  # A server that hangs keeps its connections open.
  $bounded redis-cli "$@" 2>&1
}

answer=$(ask PING) || answer="no answer: $answer"
case $1 in
  live)
    case $answer in
      PONG | LOADING* | BUSY* | MASTERDOWN*) exit 0 ;;
    esac
    ;;
  up)
    [ "$answer" != PONG ] || exit 0
    ;;
  synced)
    if [ "$answer" = PONG ]; then
      answer=$(ask INFO replication)
      case $answer in
        *role:master* | *master_link_status:up*) exit 0 ;;
        *) answer='the link to its primary is down' ;;
      esac
    fi
    ;;
  *)
    answer="there is no check named $1"
    ;;
esac
echo "$answer" >&2
exit 1
