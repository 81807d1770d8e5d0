-- Stores what a task wrote after a checkpoint, whole or not at all, also before the checkpoint itself is there. May be repeated.
-- KEYS: 1 thread (sorted set: names of checkpoints) · 2 the checkpoint (hash) · 3 what comes before a value's name
-- ARGV: 1 its name · 2 for how long it is kept at least, in ms; 0 for ever
--       then for each write: its field · its value · '1' where it replaces an earlier one, else that one stays
-- Returns: nothing.
local ttl = tonumber(ARGV[2])
local keys = { KEYS[1], KEYS[2] }
local values = redis.call('HGET', KEYS[2], 'values')
for _, name in ipairs(values and cjson.decode(values) or {}) do
  keys[#keys + 1] = KEYS[3] .. name
end
local left = {}
for i, key in ipairs(keys) do
  left[i] = redis.call('PTTL', key)
end
for i = 3, #ARGV, 3 do
  redis.call(ARGV[i + 2] == '1' and 'HSET' or 'HSETNX', KEYS[2], ARGV[i], ARGV[i + 1])
end
redis.call('ZADD', KEYS[1], 0, ARGV[1])
for i, key in ipairs(keys) do
  if ttl == 0 then
    redis.call('PERSIST', key)
  elseif left[i] ~= -1 and left[i] < ttl then
    redis.call('PEXPIRE', key, ttl)
  end
end
