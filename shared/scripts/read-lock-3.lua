-- Who holds a lock, and how many wait for it. Changes nothing.
-- KEYS: 1 lock (see acquire-lock) · 2 highest token ever given · 3 alive: who waits
-- ARGV: none
-- Returns: {the lock, or '' where nobody holds it, until (Unix ms), highest token, or 0, how many wait}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return {
  redis.call('GET', KEYS[1]) or '',
  now + redis.call('PTTL', KEYS[1]),
  tonumber(redis.call('GET', KEYS[2])) or 0,
  redis.call('ZCOUNT', KEYS[3], '(' .. string.format('%.0f', now), '+inf'),
}
