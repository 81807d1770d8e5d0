-- Ends an attempt at a task, if it is the one that runs. The task is over, or waits for another attempt.
-- KEYS: 1 tasks · 2 index · 3 due · 4 executors · 5 idle · 6 results of its planner
-- ARGV: 1 id · 2 attempt · 3 how: 'done', 'failed', 'lost': its executor does not work on it, 'undone': nobody ever had it, 'untaken': it
--       waited for too long · 4 what is told of a task that is over by this (JSON) · 5 most attempts · 6 ms until somebody looks after it
--       · 7 '1' where only who has a lease may say so · 8 results to keep, 0 without planner · 9 for how many ms
-- Returns: the task's status, which this made | 'again': it ended so before | 'late': another one runs, or none | 'unknown'
local id, attempt, how = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local text = redis.call('HGET', KEYS[1], 'state:' .. id)
if not text then
  return 'unknown'
end
local state = cjson.decode(text)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local isOver = how == 'done' or how == 'failed'
if isOver and state.attempt == attempt and (state.status == 'done' or state.status == 'failed') then
  return 'again'
end
if state.attempt ~= attempt or state.status ~= (how == 'untaken' and 'waiting' or 'assigned') then
  return 'late'
end
if (ARGV[7] == '1' and not state.lease) or (how == 'lost' and state.lease and state.lease > now) then
  return 'late'
end

local place = state.number .. ' ' .. id
redis.call('ZREM', KEYS[2], state.status .. ' ' .. place)
if state.status == 'assigned' then
  local executor = redis.call('HGET', KEYS[4], state.executor)
  local settings = executor and cjson.decode(executor)
  if settings and settings.task == id then
    settings.task = nil
    redis.call('HSET', KEYS[4], state.executor, cjson.encode(settings))
    redis.call('ZADD', KEYS[5], now, state.executor)
  end
else
  for _, class in ipairs(state.offers) do
    redis.call('ZREM', KEYS[2], class .. ' ' .. place)
  end
end

state.updated, state.lease = now, nil
if how == 'undone' or (how == 'lost' and attempt < tonumber(ARGV[5])) then
  state.status, state.executor = 'waiting', nil
  if how == 'undone' then
    state.attempt = attempt - 1
  else
    redis.call('HSET', KEYS[1], 'new:' .. id, attempt)
  end
  for _, class in ipairs(state.offers) do
    redis.call('ZADD', KEYS[2], 0, class .. ' ' .. place)
  end
else
  state.status = how == 'done' and 'done' or 'failed'
  redis.call('HSET', KEYS[1], 'end:' .. id, ARGV[4])
  redis.call('ZADD', KEYS[2], 0, 'ended ' .. string.format('%015d', now) .. ' ' .. id)
  if ARGV[8] ~= '0' then
    redis.call('LPUSH', KEYS[6], ARGV[4])
    redis.call('LTRIM', KEYS[6], 0, ARGV[8] - 1)
    redis.call('PEXPIRE', KEYS[6], ARGV[9])
  end
end
redis.call('ZADD', KEYS[2], 0, state.status .. ' ' .. place)
redis.call('HSET', KEYS[1], 'state:' .. id, cjson.encode(state))
redis.call('ZADD', KEYS[3], now + ARGV[6], id)
return state.status
