-- Sets the record of an erasure where it is still what its writer saw, and says when somebody goes on with it. May be repeated.
-- KEYS: 1 erasures (hash: tenant → record) · 2 tenants to erase (sorted set, by when somebody goes on, Unix ms)
-- ARGV: 1 tenant · 2 record that its writer saw, or '' for none · 3 record that it shall be · 4 in how many ms somebody goes on, or '' for never
-- Returns: 1, or 0 where the record is another one.
local held = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if held ~= ARGV[2] and held ~= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[4] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4], ARGV[1])
end
return 1
