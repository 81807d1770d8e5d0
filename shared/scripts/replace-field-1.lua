-- Sets a field of a hash where it still holds what its writer saw. May be repeated.
-- KEYS: 1 hash
-- ARGV: 1 field · 2 what it should hold, or '' for nothing · 3 what it shall hold, or '' for nothing
-- Returns: 1 where it was set · 2 where it held that already · 0: it holds something else.
local held = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if held == ARGV[3] then
  return 2
end
if held ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
