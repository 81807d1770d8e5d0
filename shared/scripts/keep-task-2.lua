-- Says when somebody looks after a task again, if it is still what its caller saw. Of an assigned one this renews a lease.
-- KEYS: 1 tasks · 2 due
-- ARGV: 1 id · 2 status · 3 attempt · 4 in how many ms, or '' for never
-- Returns: when (Unix ms) | 'late': something else became of it | 'unknown'
local text = redis.call('HGET', KEYS[1], 'state:' .. ARGV[1])
if not text then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 'unknown'
end
local state = cjson.decode(text)
if state.status ~= ARGV[2] or state.attempt ~= tonumber(ARGV[3]) then
  return 'late'
end
if ARGV[4] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 0
end
local time = redis.call('TIME')
local at = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4]
if state.status == 'assigned' then
  if not state.lease then
    return 'late'
  end
  state.lease = at
  redis.call('HSET', KEYS[1], 'state:' .. ARGV[1], cjson.encode(state))
end
redis.call('ZADD', KEYS[2], at, ARGV[1])
return at
