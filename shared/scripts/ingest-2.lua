-- Takes events into a stream: all of them, or none where too many wait. May be repeated for events that are told apart.
-- KEYS: 1 stream · 2 seen (sorted set: result id → until when it is a duplicate, Unix ms)
-- ARGV: 1 most events that may wait · 2 for how long an event is a duplicate, ms · 3 group of the stream's handler
--       4 for how long events are kept where nobody works on them, ms; 0 where somebody does
--       5 events of the whole batch · 6 name of a batch of several calls, or '' · 7 '1': the batch's first call
--       8 one digit an event: + 1 where it is told apart from others, + 2 where it has a key, + 4 where it is traced
--       then for each event: result id · event (JSON) · its key, where it has one · its traceparent, where it has one
-- Returns: {1, index of each duplicate, from 0 …} · {0, events that wait} where there is no room
--          {-1} where the batch's first call has not let it in.
local most, remember = tonumber(ARGV[1]), tonumber(ARGV[2])
local own, kept, total, flags = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[8]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function id(ms, seq)
  return string.format('%.0f-%.0f', ms, seq)
end

-- What is kept for readers alone goes when its time is over, but nothing that a group of theirs has still to read.
local function trim(groups)
  local keep_ms, keep_seq = now - kept, 0
  for _, group in ipairs(groups) do
    local from = group['last-delivered-id']
    if group.pending > 0 then
      from = redis.call('XPENDING', KEYS[1], group.name)[2]
    end
    local ms, seq = string.match(from, '^(%d+)-(%d+)$')
    ms, seq = tonumber(ms), tonumber(seq)
    if ms < keep_ms or (ms == keep_ms and seq < keep_seq) then
      keep_ms, keep_seq = ms, seq
    end
  end
  redis.call('XTRIM', KEYS[1], 'MINID', '~', id(keep_ms, keep_seq))
end

-- Groups that read the stream; the one of a handler that was taken away reads no more.
local function readers()
  local groups = {}
  if redis.call('EXISTS', KEYS[1]) == 1 then
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
      local group = {}
      for i = 1, #info, 2 do
        group[info[i]] = info[i + 1]
      end
      if kept == 0 or group.name ~= own then
        groups[#groups + 1] = group
      end
    end
  end
  return groups
end

local function waiting(groups)
  local length = redis.call('XLEN', KEYS[1])
  local longest = #groups > 0 and 0 or length
  for _, group in ipairs(groups) do
    -- Redis does not know the lag after entries were deleted from the middle.
    longest = math.max(longest, group.lag and group.lag + group.pending or length)
  end
  return longest
end

-- A full Redis refuses a script at its first write, if that one needs memory: so nothing is trimmed before events are added.
local count = #flags
local duplicate, fresh = {}, count
local batch = ARGV[6]

-- Where each event's arguments begin, and which of them are there already, also within the call.
local at, asked, place = {}, {}, 9
for i = 1, count do
  local flag = string.byte(flags, i) - 48
  at[i] = place
  place = place + 2 + (flag % 4 >= 2 and 1 or 0) + (flag >= 4 and 1 or 0)
  if remember > 0 and flag % 2 == 1 then
    asked[#asked + 1] = i
  end
end
local until_ms = now + remember
local within = {}
for from = 1, #asked, 1000 do
  local to = math.min(from + 999, #asked)
  local ids = {}
  for n = from, to do
    ids[#ids + 1] = ARGV[at[asked[n]]]
  end
  local scores = redis.call('ZMSCORE', KEYS[2], unpack(ids))
  for n = from, to do
    local name = ids[n - from + 1]
    local score = scores[n - from + 1]
    if within[name] or (score and tonumber(score) > now) then
      duplicate[asked[n]] = true
      fresh = fresh - 1
    end
    within[name] = true
  end
end

if batch ~= '' and ARGV[7] ~= '1' then
  if not redis.call('ZSCORE', KEYS[2], batch) then
    return { -1 }
  end
elseif fresh > 0 or batch ~= '' then
  local groups = readers()
  local length = waiting(groups)
  if kept > 0 and length + fresh + total - count > most then
    trim(groups)
    length = waiting(groups)
  end
  if length + fresh + total - count > most then
    return { 0, length }
  end
end
if batch ~= '' and ARGV[7] == '1' then
  redis.call('ZADD', KEYS[2], now + 60000, batch)
end

local reply, seen = { 1 }, {}
for i = 1, count do
  if duplicate[i] then
    reply[#reply + 1] = i - 1
  else
    local from = at[i]
    local flag = string.byte(flags, i) - 48
    if flag >= 4 then
      local entry = { 'event', ARGV[from + 1], 'result', ARGV[from] }
      if flag >= 6 then
        entry[5], entry[6] = 'key', ARGV[from + 2]
      end
      entry[#entry + 1] = 'traceparent'
      entry[#entry + 1] = ARGV[from + (flag >= 6 and 3 or 2)]
      redis.call('XADD', KEYS[1], '*', unpack(entry))
    elseif flag >= 2 then
      redis.call('XADD', KEYS[1], '*', 'event', ARGV[from + 1], 'result', ARGV[from], 'key', ARGV[from + 2])
    else
      redis.call('XADD', KEYS[1], '*', 'event', ARGV[from + 1], 'result', ARGV[from])
    end
    if remember > 0 and flag % 2 == 1 then
      seen[#seen + 1] = until_ms
      seen[#seen + 1] = ARGV[from]
      if #seen == 1000 then
        redis.call('ZADD', KEYS[2], unpack(seen))
        seen = {}
      end
    end
  end
end
if #seen > 0 then
  redis.call('ZADD', KEYS[2], unpack(seen))
end
if fresh > 0 then
  redis.call('PUBLISH', KEYS[1], fresh) -- wakes those who follow the stream as a channel
end
if remember > 0 or batch ~= '' then
  -- Amortised: a call forgets more than it adds.
  local over = redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE', 'LIMIT', 0, 2 * count + 16)
  for i = 1, #over, 1000 do
    redis.call('ZREM', KEYS[2], unpack(over, i, math.min(i + 999, #over)))
  end
end
if kept > 0 then
  trim(readers())
end
local longest = math.max(remember, 60000)
if redis.call('PTTL', KEYS[2]) < longest then
  redis.call('PEXPIRE', KEYS[2], longest)
end
return reply
