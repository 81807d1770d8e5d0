-- Holds money for a call, in every budget that it counts against, or in none.
-- KEYS: 1 budget (hash: <who> spent, <who>:period, <who>:held) · 2 reservations (sorted set: '<id> <amount> <who>…' → expiry)
--       3 settled (sorted set: ids): a reservation that was given up before it arrived holds nothing
-- ARGV: 1 reservation id · 2 amount · 3 time to live in ms · then for each budget: who, limit, period (daily|monthly|total)
-- Returns: {1} or {0, who, spent, held}. Amounts are whole billionths of a dollar. Time is the server's:
--          a hub whose clock jumps changes nothing. Holds past their expiry are free again.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local days = math.floor(time[1] / 86400)

local function text(number)
  return string.format('%.0f', number)
end

-- Civil month of a day number: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
local function month()
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local m = mp < 10 and mp + 3 or mp - 9
  return (yoe + era * 400 + (m <= 2 and 1 or 0)) * 12 + m
end

for _, expired in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)) do
  local part = 0
  local amount
  for word in string.gmatch(expired, '%S+') do
    part = part + 1
    if part == 2 then
      amount = word
    elseif part > 2 then
      redis.call('HINCRBY', KEYS[1], word .. ':held', '-' .. amount)
    end
  end
  redis.call('ZREM', KEYS[2], expired)
end

if redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  return { 0, ARGV[4], '0', '0' }
end

local amount = tonumber(ARGV[2])
local reservation = ARGV[1] .. ' ' .. ARGV[2]
for i = 4, #ARGV, 3 do
  local who, limit, period = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local current = period == 'daily' and 'd' .. days or period == 'monthly' and 'm' .. month() or 'total'
  local state = redis.call('HMGET', KEYS[1], who, who .. ':period', who .. ':held')
  local spent = tonumber(state[1] or 0)
  if state[2] ~= current then
    spent = 0
    redis.call('HSET', KEYS[1], who, 0, who .. ':period', current)
  end
  local held = tonumber(state[3] or 0)
  if spent + held + amount > limit then
    return { 0, who, text(spent), text(held) }
  end
  reservation = reservation .. ' ' .. who
end
for i = 4, #ARGV, 3 do
  redis.call('HINCRBY', KEYS[1], ARGV[i] .. ':held', ARGV[2])
end
redis.call('ZADD', KEYS[2], now + ARGV[3], reservation)
return { 1 }
