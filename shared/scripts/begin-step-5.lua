-- Claims an agent for one step. A step that its runner left unfinished is what comes next.
-- KEYS: 1 agent · 2 inbox · 3 calls · 4 working memory · 5 result of this operation
-- ARGV: 1 run id: the fence · 2 claim in ms · 3 hash of the operation id, or '' · 4 hash of its body · 5 its message (JSON), or '' · 6 whether somebody goes on
--   until the run is over: 1, 0, or '' where that stays as it is · 7 1 where it brings decisions, 2 where it brings nothing else, or '' · 8 most messages
-- Returns: {'missing'}, {'deleted'}, {'known', result}, {'other'}: this operation was begun with another body, {'busy', ms}, {'undecided'},
--   {'decided'}: there is nothing to decide, or {'begun', the agent's fields and values, working memory, inbox, calls}.
local had = redis.call('HMGET', KEYS[1], 'made', 'deleted', 'run', 'until', 'open', 'pending', 'print')
if not had[1] then
  return { 'missing' }
end
if had[2] then
  return { 'deleted' }
end
if ARGV[3] ~= '' then
  local known = redis.call('GET', KEYS[5])
  -- What was done by an agent that had this id before is not its own.
  if known and string.sub(known, 1, #had[1] + 1) == had[1] .. ' ' then
    return { 'known', string.sub(known, #had[1] + 2) }
  end
  if had[5] == ARGV[3] and had[7] ~= ARGV[4] then
    return { 'other' }
  end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local again = had[3] == ARGV[1]
if not again then
  if had[3] and tonumber(had[4]) > now then
    return { 'busy', tonumber(had[4]) - now }
  end
  if had[6] and ARGV[7] == '' and not had[5] then
    return { 'undecided' }
  end
  if ARGV[7] == '2' and not had[6] and not had[5] then
    return { 'decided' }
  end
  if had[5] then
    redis.call('HINCRBY', KEYS[1], 'attempts', 1)
  else
    redis.call('HINCRBY', KEYS[1], 'steps', 1)
    redis.call('HSET', KEYS[1], 'open', ARGV[3], 'print', ARGV[4], 'attempts', 1)
    if ARGV[5] ~= '' then
      redis.call('XADD', KEYS[2], '*', 'message', ARGV[5])
    end
    if ARGV[6] ~= '' then
      redis.call('HSET', KEYS[1], 'drive', ARGV[6])
    end
  end
end
redis.call('HSET', KEYS[1], 'run', ARGV[1], 'until', string.format('%.0f', now + ARGV[2]))
return {
  'begun',
  redis.call('HGETALL', KEYS[1]),
  redis.call('XRANGE', KEYS[4], '-', '+'),
  redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', ARGV[8]),
  redis.call('HGETALL', KEYS[3]),
}
