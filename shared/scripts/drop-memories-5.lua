-- Removes all memories of an agent at once, and keeps their ids for whoever removes their vectors.
-- KEYS: 1 memories · 2 hashes · 3 ids · 4 forgotten ids · 5 dropped ids
-- ARGV: none
-- Returns: number of memories.
local count = redis.call('ZUNIONSTORE', KEYS[5], 2, KEYS[3], KEYS[4])
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
return count
