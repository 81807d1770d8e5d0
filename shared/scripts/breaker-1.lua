-- The life of one breaker: closed, open, half open with one probe; or held by hand. Times are Redis's own: one clock for all.
-- KEYS: 1 breaker (hash: until, probe, probe_until, manual, manual_until, manual_ms; +<slice> and -<slice> count outcomes)
-- ARGV: 1 window in ms · 2 least calls in it · 3 failure rate that opens · 4 open for ms · 5 a probe's lease in ms · then
--       look | count <succeeded> <failed> | ask <id> | end <id> <ok, failed or released> | set <open, closed or auto> <ms, 0: for good>
-- Returns: {closed | open | half-open | probe, ms left, succeeded, failed, held by hand: 0 or 1}. `probe`: it is the asker's to make.
--          ask, end and set change nothing when they are repeated; count does, so it is sent once.
local key = KEYS[1]
local window, least, rate = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local open_ms, lease_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local op, a, b = ARGV[6], ARGV[7], ARGV[8]
local DAY = 86400000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local slice = math.floor(now / (window / 10))

local is = {}
local function read()
  is = {}
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    is[flat[i]] = flat[i + 1]
  end
end

local function write(...)
  redis.call('HSET', key, ...)
  redis.call('PEXPIRE', key, DAY)
end

-- Milliseconds until then. Further ahead than it can be: the clock was set back, and it counts anew from now.
local function left(field, longest)
  local at = tonumber(is[field]) or 0
  if at - now > longest then
    at = now + longest
    redis.call('HSET', key, field, at)
  end
  return math.max(0, at - now)
end

local function state()
  if is.manual == 'closed' then
    return 'closed', left('manual_until', tonumber(is.manual_ms))
  end
  if is.manual == 'open' then
    return 'open', left('manual_until', tonumber(is.manual_ms))
  end
  if not is['until'] then
    return 'closed', 0
  end
  local waits = left('until', open_ms)
  if waits > 0 then
    return 'open', waits
  end
  return 'half-open', is.probe and left('probe_until', lease_ms) or 0
end

local function counted()
  local succeeded, failed = 0, 0
  for field, value in pairs(is) do
    local sign, at = string.match(field, '^([+-])(%d+)$')
    if sign and (tonumber(at) <= slice - 10 or tonumber(at) > slice) then
      redis.call('HDEL', key, field)
    elseif sign == '+' then
      succeeded = succeeded + value
    elseif sign == '-' then
      failed = failed + value
    end
  end
  return succeeded, failed
end

read()
if is.manual and is.manual_ms ~= '0' and left('manual_until', tonumber(is.manual_ms)) == 0 then
  if is.manual == 'open' then
    write('until', now) -- a probe decides
  end
  redis.call('HDEL', key, 'manual', 'manual_until', 'manual_ms')
  read()
end

if op == 'count' and not is.manual and not is['until'] then
  write('+' .. slice, (is['+' .. slice] or 0) + a, '-' .. slice, (is['-' .. slice] or 0) + b)
  read()
  local succeeded, failed = counted()
  if failed > 0 and succeeded + failed >= least and failed / (succeeded + failed) >= rate then
    redis.call('DEL', key)
    write('until', now + open_ms)
  end
elseif op == 'ask' then
  local now_is, waits = state()
  if now_is == 'half-open' and (waits == 0 or is.probe == a) then
    write('probe', a, 'probe_until', now + lease_ms)
    return { 'probe', lease_ms, 0, 0, 0 }
  end
elseif op == 'end' and is.probe == a then
  if b == 'ok' then
    redis.call('DEL', key)
  else
    redis.call('HDEL', key, 'probe', 'probe_until')
    if b == 'failed' then
      write('until', now + open_ms)
    end
  end
elseif op == 'set' then
  redis.call('DEL', key)
  if a ~= 'auto' then
    write('manual', a, 'manual_ms', b, 'manual_until', now + b)
    redis.call('PEXPIRE', key, DAY + b)
    if b == '0' then
      redis.call('PERSIST', key)
    end
  end
end

read()
local now_is, waits = state()
local succeeded, failed = counted()
return { now_is, waits, succeeded, failed, is.manual and 1 or 0 }
