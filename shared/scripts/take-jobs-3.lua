-- Moves jobs from the list to those that are leased: those whose lease or wait is over first, up to a half, then the oldest.
-- KEYS: 1 waiting · 2 leased · 3 jobs
-- ARGV: 1 lease in ms · 2 most jobs
-- Returns: {a list of {id, body, attempt}, ms until something leased is due (-1: nothing is leased)}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most = tonumber(ARGV[2])
local taken = {}

local function take(id)
  local body = redis.call('HGET', KEYS[3], 'body:' .. id)
  if body then
    local attempt = redis.call('HINCRBY', KEYS[3], 'attempt:' .. id, 1)
    redis.call('ZADD', KEYS[2], now + ARGV[1], id)
    taken[#taken + 1] = { id, body, attempt }
  else
    redis.call('ZREM', KEYS[2], id)
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, math.ceil(most / 2))) do
  take(id)
end
while #taken < most do
  local id = redis.call('LPOP', KEYS[1])
  if not id then
    break
  end
  take(id)
end
local next = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
return { taken, next and math.max(0, next - now) or -1 }
