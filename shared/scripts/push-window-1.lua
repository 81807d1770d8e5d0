-- Adds values to a window, each id once, and tells what the window was at each of them. May be repeated.
-- KEYS: 1 window (sorted set: numbers joined by ',', space, id; by place)
-- ARGV: 1 how many values a window has · 2 how many are kept, for ids that come again · 3 for how many ms after this
--       then for each: its place in the order that values came in · numbers, space, id
-- Returns: for each, the latest values up to it, oldest first: numbers, space, id, all joined by spaces
local length, kept = tonumber(ARGV[1]), tonumber(ARGV[2])
for from = 4, #ARGV, 1000 do
  redis.call('ZADD', KEYS[1], 'NX', unpack(ARGV, from, math.min(from + 999, #ARGV)))
end
local windows = {}
for i = 5, #ARGV, 2 do
  local rank = redis.call('ZRANK', KEYS[1], ARGV[i])
  windows[#windows + 1] = table.concat(redis.call('ZRANGE', KEYS[1], math.max(0, rank - length + 1), rank), ' ')
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -kept - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return windows
