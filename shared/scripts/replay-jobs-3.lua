-- Puts dead jobs back into their queue, to be tried anew.
-- KEYS: 1 waiting · 2 jobs · 3 dead
-- ARGV: 1 channel to wake by · 2 message · then ids
-- Returns: ids of those that were dead.
local replayed = {}
for i = 3, #ARGV do
  if redis.call('HDEL', KEYS[2], 'dead:' .. ARGV[i]) == 1 then
    redis.call('LREM', KEYS[3], 1, ARGV[i])
    redis.call('RPUSH', KEYS[1], ARGV[i])
    replayed[#replayed + 1] = ARGV[i]
  end
end
if #replayed > 0 then
  redis.call('PUBLISH', ARGV[1], ARGV[2])
end
return replayed
