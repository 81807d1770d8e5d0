-- Removes what every group is done with: never an entry that one of them has not read or not acknowledged.
-- KEYS: 1 stream
-- ARGV: 1 id from which entries are kept in any case
-- Returns: number of removed entries.
local function parse(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function before(a, b)
  local ams, aseq = parse(a)
  local bms, bseq = parse(b)
  return ams < bms or (ams == bms and aseq < bseq)
end

local keep = ARGV[1]
local groups = redis.call('EXISTS', KEYS[1]) == 1 and redis.call('XINFO', 'GROUPS', KEYS[1]) or {}
for _, info in ipairs(groups) do
  local group = {}
  for i = 1, #info, 2 do
    group[info[i]] = info[i + 1]
  end
  local from
  if group.pending > 0 then
    from = redis.call('XPENDING', KEYS[1], group.name)[2]
  else
    local ms, seq = parse(group['last-delivered-id'])
    from = string.format('%.0f-%.0f', ms, seq + 1)
  end
  if before(from, keep) then
    keep = from
  end
end
if #groups == 0 then
  return 0
end
return redis.call('XTRIM', KEYS[1], 'MINID', '=', keep)
