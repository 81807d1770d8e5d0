-- Says when something is due next; where somebody has said so meanwhile, not later than then.
-- KEYS: 1 sorted set: what, by when it is due (Unix ms)
-- ARGV: 1 what · 2 when it was due · 3 when it is due next, or ''
-- Returns: 1, or 0 where somebody has.
local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Where that time is over, somebody may have said `now` to no effect.
if not due or tonumber(due) ~= tonumber(ARGV[2]) or tonumber(due) <= now then
  if ARGV[3] ~= '' then
    redis.call('ZADD', KEYS[1], 'LT', ARGV[3], ARGV[1])
  end
  return 0
end
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
end
return 1
