-- Hands out what is due, each to one at a time.
-- KEYS: 1 sorted set: what, by when it is due (Unix ms)
-- ARGV: 1 most of them · 2 for how many ms nobody else gets them
-- Returns: what is due; it stays in the set until who got it removes it.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, one in ipairs(due) do
  redis.call('ZADD', KEYS[1], now + ARGV[2], one)
end
return due
