-- Adds rows to a dataset, each once, and lets go of the oldest where there are too many. May be repeated.
-- KEYS: 1 rows (stream) · 2 hash: row id → a line with its place in the stream, then a line for each of its labels (its time, Unix ms,
--       space, JSON); '' → the longest that a row came after its time, ms
-- ARGV: 1 most rows · 2 for how many ms rows are kept, 0: for good · 3 most rows to let go of now
--       then for each row: id · its time, Unix ms · row (JSON) · its label, as a line above, or ''
-- Returns: {rows let go of, index of each row that was there already, from 0 …}
local most, kept, most_gone = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local count = (#ARGV - 3) / 4
local late = tonumber(redis.call('HGET', KEYS[2], '') or 0)

local reply, fields = { 0 }, {}
local function flush()
  if #fields > 0 then
    redis.call('HSET', KEYS[2], unpack(fields))
    fields = {}
  end
end
local within = {}
for from = 1, count, 1000 do
  local to = math.min(from + 999, count)
  local ids = {}
  for n = from, to do
    ids[#ids + 1] = ARGV[4 * n]
  end
  local held = redis.call('HMGET', KEYS[2], unpack(ids))
  for n = from, to do
    local id, at, row, label = ARGV[4 * n], ARGV[4 * n + 1], ARGV[4 * n + 2], ARGV[4 * n + 3]
    if held[n - from + 1] or within[id] then
      reply[#reply + 1] = n - 1
    else
      within[id] = true
      local place = redis.call('XADD', KEYS[1], '*', 'id', id, 'at', at, 'row', row)
      fields[#fields + 1] = id
      fields[#fields + 1] = label == '' and place or place .. '\n' .. label
      late = math.max(late, now - tonumber(at))
    end
  end
  flush()
end

local length = redis.call('XLEN', KEYS[1])
local function is_over(place, gone)
  return length - gone > most or (kept > 0 and tonumber(string.match(place, '^%d+')) < now - kept)
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if first and is_over(first[1], 0) then
  local gone, ids = 0, {}
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', most_gone)) do
    if not is_over(entry[1], gone) then
      break
    end
    gone = gone + 1
    ids[#ids + 1] = entry[2][2]
    if #ids == 1000 then
      redis.call('HDEL', KEYS[2], unpack(ids))
      ids = {}
    end
  end
  if #ids > 0 then
    redis.call('HDEL', KEYS[2], unpack(ids))
  end
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', length - gone)
  reply[1] = gone
end
if #reply - 1 < count then
  redis.call('HSET', KEYS[2], '', late)
end
for _, key in ipairs(KEYS) do
  if kept > 0 then
    redis.call('PEXPIRE', key, kept)
  else
    redis.call('PERSIST', key)
  end
end
return reply
