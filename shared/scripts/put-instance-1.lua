-- An instance of a service says that it is alive. Every 10 s one that does so removes those that were silent for long.
-- KEYS: 1 service (hash: instance → until when it is taken for alive (Unix ms), since when it is (Unix ms), what it says (JSON);
--       fence:<lock>; @sweep: when to look for silent ones; @kept where fences keep it)
-- ARGV: 1 instance · 2 what it says (JSON) · 3 how long it is taken for alive, in ms · 4 how long it is kept after that, in ms
--       5 most fields · 6 lock, or '' · 7 its holder's token
-- Returns: {'ok', now (Unix ms), its field, 1 where it was not alive before} | {'lost', highest token} | {'full'}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fence = 'fence:' .. ARGV[6]
local found = redis.call('HMGET', KEYS[1], ARGV[1], '@sweep', '@kept', fence)
if ARGV[7] ~= '' and found[4] and tonumber(found[4]) > tonumber(ARGV[7]) then
  return { 'lost', tonumber(found[4]) }
end
local isFull = not found[1] and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5])
if isFull or now >= (tonumber(found[2]) or 0) then
  local fields = redis.call('HGETALL', KEYS[1])
  for i = 1, #fields, 2 do
    local till = string.match(fields[i + 1], '^(%d+) %d+ ')
    if till and not string.find(fields[i], '[@:]') and tonumber(till) + ARGV[4] < now then
      redis.call('HDEL', KEYS[1], fields[i])
    end
  end
  redis.call('HSET', KEYS[1], '@sweep', now + 10000)
end
if isFull and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then
  return { 'full' }
end
local till, since = string.match(found[1] or '', '^(%d+) (%d+) ')
local isNew = not till or tonumber(till) <= now
local text = now + ARGV[3] .. ' ' .. (isNew and now or since) .. ' ' .. ARGV[2]
redis.call('HSET', KEYS[1], ARGV[1], text)
if ARGV[7] ~= '' then
  redis.call('HSET', KEYS[1], fence, ARGV[7], '@kept', 1)
  redis.call('PERSIST', KEYS[1])
elseif not found[3] then
  redis.call('PEXPIRE', KEYS[1], math.max(redis.call('PTTL', KEYS[1]), ARGV[3] + ARGV[4]))
end
return { 'ok', now, text, isNew and 1 or 0 }
