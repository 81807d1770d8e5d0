-- Reads a checkpoint of a LangGraph thread, or the latest one of a namespace, and as many of its ancestors as are asked for.
-- KEYS: 1 thread (sorted set: names of checkpoints) · 2 what comes before a checkpoint's name · 3 what comes before a value's name
-- ARGV: 1 name of the checkpoint; '' for the latest one between · 2 the end and · 3 the start of a range by name
--       4 how many · 5 for how long they are kept at least from now on, in ms; 0 where that stays as it is
--       then the starts of the names of those values that are wanted; all are, where none is named
-- Returns: for each, the newest first: {its name, fields and values of its hash, its values in the order of its field `values`}. One that has
--          pending sends in its parent comes with it.
local ttl = tonumber(ARGV[5])
local function keep(key)
  if ttl > 0 then
    local left = redis.call('PTTL', key)
    if left >= 0 and left < ttl then
      redis.call('PEXPIRE', key, ttl)
    end
  end
end

local function wanted(name)
  for i = 6, #ARGV do
    if string.sub(name, 1, #ARGV[i]) == ARGV[i] then
      return true
    end
  end
  return #ARGV < 6
end

-- Its hash, and that as a table; nothing where it expired or where so far it has writes alone.
local function read(name)
  local flat = redis.call('HGETALL', KEYS[2] .. name)
  local fields = {}
  for i = 1, #flat, 2 do
    fields[flat[i]] = flat[i + 1]
  end
  return fields.checkpoint and flat, fields, #flat == 0
end

local name, flat, fields = ARGV[1], nil, nil
if name ~= '' then
  flat, fields = read(name)
else
  local skipped, expired = 0, false
  repeat
    name = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[3], 'BYLEX', 'REV', 'LIMIT', skipped, 1)[1]
    if not name then
      return {}
    end
    flat, fields, expired = read(name)
    if expired then
      redis.call('ZREM', KEYS[1], name)
    elseif not flat then
      skipped = skipped + 1
    end
  until flat
end

local found, most = {}, tonumber(ARGV[4])
while flat do
  local values = {}
  for i, value in ipairs(cjson.decode(fields.values)) do
    local key = KEYS[3] .. value
    values[i] = wanted(value) and redis.call('GET', key)
    keep(key)
  end
  keep(KEYS[2] .. name)
  found[#found + 1] = { name, flat, values }
  if #found == 1 then
    keep(KEYS[1])
    if fields.sends then
      most = math.max(most, 2)
    end
  end
  name, flat = fields.parent, nil
  if name and #found < most then
    flat, fields = read(name)
  end
end
return found
