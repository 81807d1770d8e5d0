# Runs "$@" (a redis-server) so that it ends with the process that started this script, however that one ends.
#   stdin  Redis's configuration          fd 3  the lifeline: Redis's pid goes up; when it closes, Redis is stopped
#   fd 4   inherited by Redis alone: open as long as Redis lives (see data-lock.ts)
exec 5<&0 # a background job's stdin would be /dev/null
export LC_ALL=C # Redis refuses to start under a locale that is not installed
"$@" <&5 3<&- 5<&- &
redis=$!
exec </dev/null 4<&- 5<&-
echo "$redis" >&3
(
  read -r _ <&3
  for second in 1 2 3 4 5; do
    kill -TERM "$redis" # flushes the append-only file; refused while a replica writes its first one
    kill -CONT "$redis" # a stopped process would not see it
    sleep 1
  done
  kill -KILL "$redis"
) >/dev/null 2>&1 &
watcher=$!
wait "$redis"
status=$?
kill "$watcher"
wait "$watcher" 2>/dev/null
exit "$status"
