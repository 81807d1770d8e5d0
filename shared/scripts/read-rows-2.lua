-- Reads a page of a dataset's rows with their labels.
-- KEYS: 1 rows (stream) · 2 hash: row id → a line with its place in the stream, then a line for each of its labels (its time, Unix ms,
--       space, JSON)
-- ARGV: 1 place to read from, as XRANGE takes it · 2 place to read to · 3 least time of a row, Unix ms · 4 the time before which it is
--       5 most rows to look at · 6 most bytes to reply, beyond which one row may go
-- Returns: {the last place that was looked at, or '' where there are no more, then for each row: row (JSON) · its labels, a line each}
local from, to = ARGV[1], ARGV[2]
local least, before = tonumber(ARGV[3]), tonumber(ARGV[4])
local left, room = tonumber(ARGV[5]), tonumber(ARGV[6])
local reply = { '' }
while left > 0 and room > 0 do
  local asked = math.min(left, 100)
  local entries = redis.call('XRANGE', KEYS[1], from, to, 'COUNT', asked)
  for _, entry in ipairs(entries) do
    local fields = entry[2]
    local at = tonumber(fields[4])
    reply[1] = entry[1]
    left = left - 1
    if at >= least and at < before then
      local held = redis.call('HGET', KEYS[2], fields[2]) or ''
      reply[#reply + 1] = fields[6]
      reply[#reply + 1] = string.match(held, '^[^\n]*\n(.*)$') or ''
      room = room - #fields[6] - #reply[#reply]
      if room <= 0 then
        break
      end
    end
  end
  if #entries < asked and room > 0 then
    reply[1] = ''
  end
  if #entries < asked then
    break
  end
  from = '(' .. reply[1]
end
return reply
