-- Stores a checkpoint of a LangGraph thread and those channel values that it changed. May be repeated.
-- KEYS: 1 thread (sorted set: names of checkpoints) · 2 what comes before a checkpoint's name · 3 what comes before a value's name
-- ARGV: 1 its name · 2 for how long it is kept at least, in ms; 0 for ever · 3 checkpoint · 4 metadata · 5 names of its values (JSON)
--       6 name of its parent, or '' · 7 '1' where pending sends are its parent's · then for each new value: its name · the value
-- Returns: names of values that it needs and that expired meanwhile.
local ttl = tonumber(ARGV[2])

-- Nothing's life is shortened: other checkpoints may need it for longer.
local function keep(key, left)
  if ttl == 0 then
    redis.call('PERSIST', key)
  elseif left ~= -1 and left < ttl then
    redis.call('PEXPIRE', key, ttl)
  end
end

local key = KEYS[2] .. ARGV[1]
local left, thread_left = redis.call('PTTL', key), redis.call('PTTL', KEYS[1])
for i = 8, #ARGV, 2 do
  if ttl == 0 then
    redis.call('SET', KEYS[3] .. ARGV[i], ARGV[i + 1])
  else
    redis.call('SET', KEYS[3] .. ARGV[i], ARGV[i + 1], 'PX', ttl)
  end
end
redis.call('HSET', key, 'checkpoint', ARGV[3], 'metadata', ARGV[4], 'values', ARGV[5])
if ARGV[6] ~= '' then
  redis.call('HSET', key, 'parent', ARGV[6])
end
if ARGV[7] == '1' then
  redis.call('HSET', key, 'sends', '1')
end
redis.call('ZADD', KEYS[1], 0, ARGV[1])
keep(key, left)
keep(KEYS[1], thread_left)
local expired = {}
for _, name in ipairs(cjson.decode(ARGV[5])) do
  local value = KEYS[3] .. name
  local value_left = redis.call('PTTL', value)
  if value_left ~= -2 then
    keep(value, value_left)
  elseif ttl > 0 then
    expired[#expired + 1] = name
  end
end
if ttl > 0 then
  -- Amortised: each call adds a name, and forgets more of them than that where most have expired.
  for _, name in ipairs(redis.call('ZRANDMEMBER', KEYS[1], 3)) do
    if redis.call('EXISTS', KEYS[2] .. name) == 0 then
      redis.call('ZREM', KEYS[1], name)
    end
  end
end
return expired
