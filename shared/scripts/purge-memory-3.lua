-- Removes a memory that was forgotten by then, for good.
-- KEYS: 1 memories · 2 hashes · 3 forgotten ids
-- ARGV: 1 id · 2 field of its operation · 3 forgotten by then (Unix ms)
-- Returns: 1, or 0 where it was brought back, forgotten later, or removed already.
local forgotten = redis.call('HGET', KEYS[1], ARGV[1] .. ':forgotten')
if not forgotten or tonumber(forgotten) > tonumber(ARGV[3]) then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1], ARGV[1] .. ':forgotten')
if redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[1] then
  redis.call('HDEL', KEYS[2], ARGV[2])
end
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
