#!/bin/sh
# Makes the cluster, finishes one that was begun, introduces nodes anew whose addresses have changed, and leaves a whole
# one as it is: safe at every start. Then the doctor looks. Ends with 0 only if the cluster is whole and nothing that it
# found is as bad as FAIL_ON.
set -euf
: "${SLOTWISE:?}" "${REDIS_NODES:?}" "${REDIS_REPLICAS:?}" "${REDIS_OPS_PASSWORD_FILE:?}" "${REDIS_USAGE:?}"
: "${FAIL_ON:=critical}" "${WAIT_SECONDS:=60}"

set -- --user ops --password-file "$REDIS_OPS_PASSWORD_FILE"
[ -z "${REDIS_TLS_CA_FILE:-}" ] || set -- "$@" --ca "$REDIS_TLS_CA_FILE"

# Nodes by spaces, commas or lines; SLOTWISE may hold arguments.
nodes=
# shellcheck disable=SC2086
for node in $(printf %s "$REDIS_NODES" | tr ',' ' '); do nodes=$nodes${nodes:+,}$node; done

# shellcheck disable=SC2086,SC2046
$SLOTWISE create $(printf %s "$nodes" | tr ',' ' ') --replicas "$REDIS_REPLICAS" --wait "$WAIT_SECONDS" "$@"
# shellcheck disable=SC2086
exec $SLOTWISE doctor --nodes "$nodes" --usage "$REDIS_USAGE" --fail-on "$FAIL_ON" "$@"
