-- Frees a lock by its token, or ends an operation: it waits no longer, and what it acquired is free. Whose turn it is hears of it.
-- KEYS: 1 lock (see acquire-lock) · 2 highest token ever given · 3 waiting · 4 alive
-- ARGV: 1 token, or '' · 2 operation id, or '' · 3 wake-up channel
-- Returns: {'free'}: it was this one's, or it was free and nobody had it after this token | {'lost', the lock, or '', highest token, or 0}
local held = redis.call('GET', KEYS[1])
local token, operation = string.match(held or '', '^(%d+) (%S+)')
local highest = tonumber(redis.call('GET', KEYS[2])) or 0
if ARGV[2] ~= '' then
  redis.call('ZREM', KEYS[3], ARGV[2])
  redis.call('ZREM', KEYS[4], ARGV[2])
end
if held and token ~= ARGV[1] and operation ~= ARGV[2] then
  return { 'lost', held, highest }
end
if held then
  redis.call('DEL', KEYS[1])
end
local time = redis.call('TIME')
for _, gone in ipairs(redis.call('ZRANGE', KEYS[4], '-inf', time[1] * 1000 + math.floor(time[2] / 1000), 'BYSCORE')) do
  redis.call('ZREM', KEYS[3], gone)
  redis.call('ZREM', KEYS[4], gone)
end
local first = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
if first then
  redis.call('PUBLISH', ARGV[3], first)
end
if not held and ARGV[1] ~= '' and tonumber(ARGV[1]) < highest then
  return { 'lost', '', highest }
end
return { 'free' }
