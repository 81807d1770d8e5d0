-- Takes a consumer out of its group. What it still holds can be claimed at once, and that delivery is not counted.
-- KEYS: 1 stream
-- ARGV: 1 group · 2 consumer · 3 consumer who holds what waits · 4 idle ms at which what waits is due
-- Returns: number of entries that it held.
local count = 0
repeat
  local held = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000, ARGV[2])
  for _, entry in ipairs(held) do
    local again = math.max(0, entry[4] - 1)
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, entry[1], 'IDLE', ARGV[4], 'RETRYCOUNT', again, 'JUSTID')
  end
  count = count + #held
until #held == 0
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return count
