-- Keeps a new task, for whoever may take it.
-- KEYS: 1 tasks (hash: count, and of each task body:<id>, state:<id>, new:<id> until it was told, end:<id> once it is over (JSON))
--       · 2 index · 3 due
-- ARGV: 1 id · 2 task (JSON) · 3 classes that it is offered in (JSON array) · 4 ms until somebody looks after it · 5 most that wait
-- Returns: 'new' | 'known' | 'other': the id is another task's | 'full'
local id = ARGV[1]
local held = redis.call('HGET', KEYS[1], 'body:' .. id)
if held then
  return held == ARGV[2] and 'known' or 'other'
end
if redis.call('ZLEXCOUNT', KEYS[2], '[waiting ', '(waiting!') >= tonumber(ARGV[5]) then
  return 'full'
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local number = string.format('%015d', redis.call('HINCRBY', KEYS[1], 'count', 1))
local state = {
  status = 'waiting',
  attempt = 0,
  number = number,
  offers = cjson.decode(ARGV[3]),
  created = now,
  updated = now,
}
redis.call('HSET', KEYS[1], 'body:' .. id, ARGV[2], 'state:' .. id, cjson.encode(state), 'new:' .. id, 0)
redis.call('ZADD', KEYS[2], 0, 'waiting ' .. number .. ' ' .. id)
for _, class in ipairs(state.offers) do
  redis.call('ZADD', KEYS[2], 0, class .. ' ' .. number .. ' ' .. id)
end
redis.call('ZADD', KEYS[3], now + ARGV[4], id)
return 'new'
