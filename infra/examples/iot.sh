#!/bin/sh
# A device with nothing but curl: keeps its readings in a file until the hub has them, then asks what came of the last one.
#
#   HUB_URL   default http://127.0.0.1:8787
#   HUB_KEY   a key with the scope ingest-event; none for a hub of this machine
#   DEVICE    its name, default attic
#   STREAM    default readings
#   SPOOL     file of readings that were not sent yet, default readings.ndjson
#   TIMEOUT   seconds to wait for a reply, default 30
#   READINGS  how many to take before it sends, default 20
set -eu

hub=${HUB_URL:-http://127.0.0.1:8787}
device=${DEVICE:-attic}
stream=${STREAM:-readings}
spool=${SPOOL:-readings.ndjson}
attempts=12

# The key goes in by standard input: arguments are seen by every user of the machine.
request() {
  if [ -n "${HUB_KEY:-}" ]; then
    printf 'header = "Authorization: Bearer %s"\n' "$HUB_KEY"
  fi | curl --config - --silent --show-error --max-time "${TIMEOUT:-30}" --write-out '\n%{http_code}' "$@"
}

# Each reading has an id of its own: sent again, it is not stored again. Ids go on where the last run ended.
take_readings() {
  boot=$(date +%s)
  n=0
  while [ "$n" -lt "${READINGS:-20}" ]; do
    printf '{"specversion":"1.0","id":"%s-%s","source":"/devices/%s","type":"reading","subject":"%s","time":"%s","data":{"celsius":%s.%s}}\n' \
      "$boot" "$n" "$device" "$device" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$((18 + n % 5))" "$((n % 10))" >>"$spool"
    n=$((n + 1))
  done
}

# 202: Redis has them. Busy, away, or no answer at all: again later. Anything else does not pass by itself.
send_readings() {
  pause=1
  attempt=0
  while :; do
    attempt=$((attempt + 1))
    reply=$(request "$hub/v1/events/$stream" --header 'Content-Type: application/x-ndjson' --data-binary "@$spool") || true
    status=$(printf '%s' "$reply" | tail -n 1)
    case $status in
    202) break ;;
    '' | 000 | 429 | 5??) ;;
    *)
      printf '%s\n' "$reply" >&2
      return 1
      ;;
    esac
    if [ "$attempt" -ge "$attempts" ]; then
      echo "The hub did not take the readings; they stay in $spool." >&2
      return 1
    fi
    echo "Attempt $attempt: ${status:-000}; again in $pause s" >&2
    sleep "$pause"
    if [ "$pause" -lt 8 ]; then pause=$((pause * 2)); fi
  done
  body=$(printf '%s' "$reply" | sed '$d')
  echo "sent: $(printf '%s' "$body" | sed 's/,"events".*/}/')"
  last=$(printf '%s' "$body" | sed 's/.*"result_id":"\([^"]*\)".*/\1/')
  : >"$spool"
}

take_readings
send_readings
echo "result: $(request "$hub/v1/results/$last?wait_seconds=10" | sed '$d')"
