-- Gives rows of a dataset a label each, known from a time on; of the same time the later one counts. May be repeated.
-- KEYS: 1 hash: row id → a line with its place in the stream, then a line for each of its labels (its time, Unix ms, space, JSON)
-- ARGV: 1 most labels of a row, of which the newest stay
--       then for each row: id · the label's time, Unix ms · label (JSON)
-- Returns: indexes, from 0, of rows that are not there.
local most = tonumber(ARGV[1])
local missing = {}
for i = 2, #ARGV, 3 do
  local id, at, label = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local held = redis.call('HGET', KEYS[1], id)
  if not held then
    missing[#missing + 1] = (i - 2) / 3
  else
    local lines = {}
    for line in string.gmatch(held, '[^\n]+') do
      lines[#lines + 1] = line
    end
    local time = tonumber(at)
    local function time_of(line)
      return tonumber(string.match(line, '^-?%d+'))
    end
    -- The first line is the place. Mostly the new label is the newest.
    local n = #lines
    while n > 1 and time_of(lines[n]) > time do
      n = n - 1
    end
    if n > 1 and time_of(lines[n]) == time then
      lines[n] = at .. ' ' .. label
    else
      table.insert(lines, n + 1, at .. ' ' .. label)
    end
    while #lines > most + 1 do
      table.remove(lines, 2)
    end
    redis.call('HSET', KEYS[1], id, table.concat(lines, '\n'))
  end
end
return missing
