-- Begins a session. Where its user has too many, those that were seen longest ago end.
-- KEYS: 1 sessions of a user (hash: user → name; of each session: t:<handle> → when it began and was seen, idle and absolute end (ms);
--         h:<handle> → SHA-256 of its id, of its id before or -, until when that one holds, and until when it may be rotated again;
--         d:<handle> → version and data (JSON: path → JSON), see shared/merge-patch.ts) · 2 what an Idempotency-Key made
-- ARGV: 1 handle · 2 SHA-256 of the id · 3 user · 4 data · 5 longest idle, ms · 6 longest life, ms · 7 most sessions of a user
--       · 8 what its id is made from again, or '' without an Idempotency-Key · 9 for how long that is known, ms
-- Returns: {'ok', now, times} | {'known', now, handle, what its id is made from, SHA-256 of its id, version and data, times}, nil where it has ended
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[8] ~= '' then
  local made = redis.call('GET', KEYS[2])
  if made then
    local handle, seed = string.match(made, '^(%S+) (%S+)$')
    local held = redis.call('HMGET', KEYS[1], 'h:' .. handle, 'd:' .. handle, 't:' .. handle)
    local hash = held[1] and string.match(held[1], '^%S+')
    return { 'known', now, handle, seed, hash, held[2], held[3] }
  end
end
local function drop(handle)
  redis.call('HDEL', KEYS[1], 'h:' .. handle, 'd:' .. handle, 't:' .. handle)
end
local alive = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local handle = string.match(field, '^t:(.+)$')
  if handle then
    local _, seen, idle, over = string.match(redis.call('HGET', KEYS[1], field), '^(%d+) (%d+) (%d+) (%d+)$')
    if now >= seen + idle or now >= tonumber(over) then
      drop(handle)
    else
      alive[#alive + 1] = { handle, tonumber(seen) }
    end
  end
end
table.sort(alive, function(a, b)
  return a[2] < b[2]
end)
for i = 1, #alive - tonumber(ARGV[7]) + 1 do
  drop(alive[i][1])
end
local times = string.format('%.0f %.0f %s %.0f', now, now, ARGV[5], now + ARGV[6])
redis.call('HSET', KEYS[1], 'user', ARGV[3], 'h:' .. ARGV[1], ARGV[2] .. ' - 0 0', 'd:' .. ARGV[1], '1 ' .. ARGV[4], 't:' .. ARGV[1], times)
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[6]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
end
if ARGV[8] ~= '' then
  redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. ARGV[8], 'PX', ARGV[9])
end
return { 'ok', now, times }
