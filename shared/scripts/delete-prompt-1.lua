-- Deletes a prompt; of it stays the last version's number, so that no number is given twice.
-- KEYS: 1 prompt (hash: first and last version, labels (JSON), v:<version> (JSON))
-- ARGV: none
-- Returns: 1 when there was a prompt, else 0
local known = redis.call('HMGET', KEYS[1], 'first', 'last')
if not known[1] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'last', known[2])
return 1
