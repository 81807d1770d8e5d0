-- Removes all facts of a topic; what counts its changes stays for a while, so that no version comes twice.
-- KEYS: 1 facts · 2 changes
-- ARGV: 1 how long the count is kept, in ms
-- Returns: number of the change, or 0 where there was nothing.
if redis.call('DEL', KEYS[1]) == 0 then
  return 0
end
local count = redis.call('HINCRBY', KEYS[2], 'count', 1)
redis.call('HSET', KEYS[2], 'floor', count)
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return count
