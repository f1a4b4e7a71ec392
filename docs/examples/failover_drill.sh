#!/bin/sh
# A drill: the control database fails over while an archive is made. Afterwards the archive must be whole.
#
#   SUBJECT=tenant:ID FAILOVER='ssh db2 sudo -u postgres psql -c "select pg_promote()"' ./failover_drill.sh
#
# Run it where an operator runs `portability`, with workers and a clock at work. PORTABILITY_ALLOW_FETCH=1 lets it verify
# the archive. Approve the request if a second person has to. The last line is "passed"; any other end is a failure.
set -eu
: "${SUBJECT:?the subject of the export, large enough for some volumes}"
: "${FAILOVER:?the command that stops the primary and promotes the replica}"
PORTABILITY=${PORTABILITY:-portability}
PYTHON=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
field() { "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
state() { $PORTABILITY show "$export_id" --json 2>/dev/null | field state 2>/dev/null || echo unknown; }
wait_until() {  # the first argument is a limit in seconds, the others are a command
    limit=$1; shift
    began=$(date +%s)
    until "$@"; do
        [ $(($(date +%s) - began)) -lt "$limit" ] || { say "not within $limit seconds: $*"; cat "$folder/last"; exit 1; }
        sleep 1
    done
}
is_running() { case $(state) in running | closing | ready) ;; *) false ;; esac; }
is_ready() { [ "$(state)" = ready ]; }
reconciles() { $PORTABILITY reconcile --json > "$folder/last" 2>&1; }

export_id=$($PORTABILITY request --subject "$SUBJECT" --profile "${PROFILE:-switch}" --json | field id)
say "export $export_id is accepted"
wait_until 120 is_running
say "it is running: failing over"
sh -c "$FAILOVER"
wait_until 120 reconciles
say "reconciled: $(field events < "$folder/last")"
wait_until 900 is_ready
say "it is ready"
$PORTABILITY keys jwks > "$folder/jwks.json"
$PORTABILITY fetch "$export_id" --to "$folder" > "$folder/last" 2>&1 || { cat "$folder/last"; exit 1; }
$PORTABILITY verify "$folder"/*.zip --jwks "$folder/jwks.json" > "$folder/last" 2>&1 || { cat "$folder/last"; exit 1; }
reconciles && [ "$(field events < "$folder/last")" = "[]" ] || { say "something is still lost"; cat "$folder/last"; exit 1; }
say passed
