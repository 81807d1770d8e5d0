-- Forgets tasks that have been over for long, and the oldest where there are many.
-- KEYS: 1 tasks · 2 index · 3 due
-- ARGV: 1 most that are kept · 2 for how many ms · 3 most to forget now
-- Returns: how many it forgot.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local surplus = redis.call('ZLEXCOUNT', KEYS[2], '[ended ', '(ended!') - ARGV[1]
local forgotten = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[2], '[ended ', '(ended!', 'BYLEX', 'LIMIT', 0, ARGV[3])) do
  local ended, id = string.match(member, '^ended (%d+) (.*)$')
  if forgotten >= surplus and tonumber(ended) > now - ARGV[2] then
    break
  end
  local state = cjson.decode(redis.call('HGET', KEYS[1], 'state:' .. id))
  redis.call('ZREM', KEYS[2], member, state.status .. ' ' .. state.number .. ' ' .. id)
  redis.call('HDEL', KEYS[1], 'body:' .. id, 'state:' .. id, 'end:' .. id, 'new:' .. id)
  redis.call('ZREM', KEYS[3], id)
  forgotten = forgotten + 1
end
return forgotten
