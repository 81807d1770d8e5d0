-- Forgets a memory; its text may be remembered anew. May be repeated.
-- KEYS: 1 memories · 2 hashes · 3 ids · 4 forgotten ids
-- ARGV: 1 id · 2 field of its text · 3 time (Unix ms)
-- Returns: 1, or 0 where there is none.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('HSETNX', KEYS[1], ARGV[1] .. ':forgotten', ARGV[3])
if redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[1] then
  redis.call('HDEL', KEYS[2], ARGV[2])
end
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[4], 0, ARGV[1])
return 1
