-- Lists a LangGraph thread among those of its tenant until it expires, and forgets some that have expired.
-- KEYS: 1 threads (sorted set: id → when it is forgotten, Unix ms)
-- ARGV: 1 thread id · 2 for how long it is kept, in s
-- Returns: nothing.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2] * 1000, ARGV[1])
local expired = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)
if #expired > 0 then
  redis.call('ZREM', KEYS[1], unpack(expired))
end
