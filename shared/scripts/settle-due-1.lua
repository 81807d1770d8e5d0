-- Says when something is due next; where somebody has said so meanwhile, not later than then.
-- KEYS: 1 sorted set: what, by when it is due (Unix ms)
-- ARGV: 1 what · 2 when it was due · 3 when it is due next, or ''
-- Returns: 1, or 0 where somebody has.
local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not due or tonumber(due) ~= tonumber(ARGV[2]) then
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
