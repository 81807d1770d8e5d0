-- Removes an entity that a deleted view left, but none of a later view of that name.
-- KEYS: 1 entity (hash; '@' → epoch of its view)
-- ARGV: 1 epoch of the deleted view
-- Returns: 1 where it was removed, else 0.
local epoch = redis.call('HGET', KEYS[1], '@')
if epoch and tonumber(epoch) <= tonumber(ARGV[1]) then
  return redis.call('UNLINK', KEYS[1])
end
return 0
