-- Hands out schedules, each to one runner at a time. A due time stays planned until a run of it succeeded: a runner that dies leaves it.
-- KEYS: 1 schedules:due (sorted set: which, by when in Unix ms) · 2 its runs (hash: which → `<planned> <run>`)
-- ARGV: 1 run · 2 most of them · 3 lease in ms · 4 the one that is wanted now, due or not; or '' for what is due
-- Returns: now in Unix ms, when the next one is due or '', then of each one its name and for when it was planned.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function score(one)
  return tonumber(redis.call('ZSCORE', KEYS[1], one) or now)
end
local wanted = { ARGV[4] }
if ARGV[4] == '' then
  wanted = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[2])
end
local claimed = {}
for _, one in ipairs(wanted) do
  local due = score(one)
  local planned, run = string.match(redis.call('HGET', KEYS[2], one) or '', '^(%d+) (.*)$')
  if due <= now or (run or '') == '' then
    planned = planned or string.format('%.0f', math.min(due, now))
    redis.call('HSET', KEYS[2], one, planned .. ' ' .. ARGV[1])
    redis.call('ZADD', KEYS[1], now + ARGV[3], one)
    table.insert(claimed, one)
    table.insert(claimed, planned)
  end
end
local following = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
return { string.format('%.0f', now), following or '', unpack(claimed) }
