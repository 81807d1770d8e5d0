-- Writes features of an entity, each one where nothing newer of it is known. May be repeated.
-- KEYS: 1 entity (hash: feature → event time (Unix ms), space, value (JSON); '@' → epoch of its view)
-- ARGV: 1 epoch of the view · 2 event time, Unix ms · 3 for how many ms the entity is kept after this, 0: for good
--       then for each feature: name · value (JSON)
-- Returns: indexes, from 0, of features of which something newer is known | -1: the entity is of a later view.
local epoch, at, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local names = { '@' }
for i = 4, #ARGV, 2 do
  names[#names + 1] = ARGV[i]
end
local held = redis.call('HMGET', KEYS[1], unpack(names))
local held_epoch = tonumber(held[1] or epoch)
if held_epoch > epoch then
  return -1
end
local is_other = held_epoch < epoch
if is_other then
  redis.call('UNLINK', KEYS[1]) -- a deleted view of that name left it
end
local older, set = {}, { '@', ARGV[1] }
for i = 2, #names do
  local time = not is_other and held[i] and tonumber(string.match(held[i], '^-?%d+'))
  if time and time > at then
    older[#older + 1] = i - 2
  else
    set[#set + 1] = names[i]
    set[#set + 1] = ARGV[2] .. ' ' .. ARGV[2 * i + 1]
  end
end
if #set > 2 then
  redis.call('HSET', KEYS[1], unpack(set))
  if kept > 0 then
    redis.call('PEXPIRE', KEYS[1], kept)
  else
    redis.call('PERSIST', KEYS[1])
  end
end
return older
