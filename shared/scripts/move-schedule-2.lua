-- Says when a schedule is due: by its runner, as long as it is the runner's, or by whoever changed it. May be repeated by the latter.
-- KEYS: 1 schedules:due (sorted set: which, by when in Unix ms) · 2 its runs (hash: which → `<planned> <run>`)
-- ARGV: 1 which · 2 run that must have it, or '' for whoever · 3 when (Unix ms), '' for never, `+<ms>` to keep it for so long
--       4 '1': what was planned is still to be done
-- Returns: 1 when it was done · 0: the run has it no longer.
local planned, run = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', '^(%d+) (.*)$')
if ARGV[2] ~= '' and run ~= ARGV[2] then
  return 0
end
local kept = string.match(ARGV[3], '^%+(%d+)$')
if kept then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + kept, ARGV[1])
  return 1
end
if ARGV[4] == '1' and planned then
  redis.call('HSET', KEYS[2], ARGV[1], planned .. ' ')
else
  redis.call('HDEL', KEYS[2], ARGV[1])
end
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
end
return 1
