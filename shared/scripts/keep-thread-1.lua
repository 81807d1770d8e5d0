-- Lists a LangGraph thread among those of its tenant until it expires, and forgets some that have expired.
-- KEYS: 1 threads (sorted set: id → when it is forgotten, Unix ms)
-- ARGV: 1 thread id · 2 for how long it is kept at least, in ms · 3 '1' where it was only read, which lists no thread that is not
-- Returns: nothing.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ARGV[3] ~= '1' or (known and tonumber(known) > now) then
  redis.call('ZADD', KEYS[1], 'GT', now + ARGV[2], ARGV[1])
end
local expired = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)
if #expired > 0 then
  redis.call('ZREM', KEYS[1], unpack(expired))
end
