-- Lets the lease of a lock end later, or earlier, while its holder still holds it.
-- KEYS: 1 lock (see acquire-lock) · 2 highest token ever given
-- ARGV: 1 token · 2 lease in ms, from now
-- Returns: {'yours', token, until (Unix ms)} | {'lost', the lock, or '' where nobody holds it, highest token, or 0}
local held = redis.call('GET', KEYS[1])
if not held or string.match(held, '^%d+') ~= ARGV[1] then
  return { 'lost', held or '', tonumber(redis.call('GET', KEYS[2])) or 0 }
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local time = redis.call('TIME')
return { 'yours', tonumber(ARGV[1]), time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2] }
