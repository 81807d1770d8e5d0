-- Brings back a forgotten memory. One that was remembered with its text meanwhile keeps the text. May be repeated.
-- KEYS: 1 memories · 2 hashes · 3 ids · 4 forgotten ids
-- ARGV: 1 id · 2 field of its text
-- Returns: 1, or 0 where there is none.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1] .. ':forgotten')
redis.call('HSETNX', KEYS[2], ARGV[2], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZADD', KEYS[3], 0, ARGV[1])
return 1
