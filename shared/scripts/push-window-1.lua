-- Adds values to a window, each id once, and tells what the window was at each of them. May be repeated.
-- KEYS: 1 window (sorted set: numbers and id, joined by spaces; by place)
-- ARGV: 1 how many values a window has · 2 how many are kept, for ids that come again · 3 for how many ms after this
--       then for each: its place in the order that values came in · numbers and id
-- Returns: for each, the latest values up to it, oldest first: numbers and id, all joined by spaces
local length, kept = tonumber(ARGV[1]), tonumber(ARGV[2])
local windows = {}
for i = 5, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], 'NX', ARGV[i - 1], ARGV[i])
  local window = redis.call('ZRANGE', KEYS[1], -length, -1)
  if window[#window] ~= ARGV[i] then -- something that came after it is there already
    local rank = redis.call('ZRANK', KEYS[1], ARGV[i])
    window = redis.call('ZRANGE', KEYS[1], math.max(0, rank - length + 1), rank)
  end
  windows[#windows + 1] = table.concat(window, ' ')
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -kept - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return windows
