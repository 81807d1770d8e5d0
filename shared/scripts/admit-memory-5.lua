-- Keeps a memory, unless its text is another one's already. Nothing is written where it returns anything but `stored`.
-- KEYS: 1 memories · 2 hashes · 3 ids · 4 forgotten ids · 5 agent
-- ARGV: 1 id · 2 field of the operation · 3 field of the text · 4 id that may have the text already, or '' · 5 memory (JSON) · 6 embedding
--       model (JSON) · 7 most memories, forgotten ones included
-- Returns: {'stored'} | {'known', id}: the operation stored that one | {'taken', id}: it has the text | {'space', model}: the agent's are in
--          that one | {'full', id}: of the oldest forgotten one, or '' | {'deleted'}: there is no such agent any more.
if redis.call('HEXISTS', KEYS[5], 'deleted') == 1 then
  return { 'deleted' }
end
local known = redis.call('HMGET', KEYS[2], ARGV[2], ARGV[3], 'space')
if known[1] then
  return { 'known', known[1] }
end
if known[3] and known[3] ~= ARGV[6] then
  return { 'space', known[3] }
end
if known[2] and known[2] ~= ARGV[4] then
  return { 'taken', known[2] }
end
if redis.call('ZCARD', KEYS[3]) + redis.call('ZCARD', KEYS[4]) >= tonumber(ARGV[7]) then
  return { 'full', redis.call('ZRANGE', KEYS[4], 0, 0)[1] or '' }
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[5])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[1], ARGV[3], ARGV[1], 'space', ARGV[6])
redis.call('ZADD', KEYS[3], 0, ARGV[1])
return { 'stored' }
