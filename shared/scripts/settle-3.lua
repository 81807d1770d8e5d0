-- Turns a reservation into what the call really cost. Also when it has expired: the money is spent.
-- KEYS: 1 budget · 2 reservations · 3 settled (sorted set: reservation id → when to forget it)
-- ARGV: 1 reservation · 2 actual cost · 3 how long to remember, in ms
-- Returns: 1, or 0 when it was settled before.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local words = {}
for word in string.gmatch(ARGV[1], '%S+') do
  words[#words + 1] = word
end
if redis.call('ZSCORE', KEYS[3], words[1]) then
  return 0
end
local held = redis.call('ZREM', KEYS[2], ARGV[1]) == 1
for i = 3, #words do
  redis.call('HINCRBY', KEYS[1], words[i], ARGV[2])
  if held then
    redis.call('HINCRBY', KEYS[1], words[i] .. ':held', '-' .. words[2])
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
redis.call('ZADD', KEYS[3], now + ARGV[3], words[1])
return 1
