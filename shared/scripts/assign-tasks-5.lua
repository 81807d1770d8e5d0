-- Gives waiting tasks to executors, to each the oldest that it may take: to those that are idle, the longest idle first, or to one that
-- is named.
-- KEYS: 1 tasks · 2 index · 3 due · 4 executors · 5 idle
-- ARGV: 1 most tasks · 2 ms until somebody looks after them · 3 '' for idle executors; 'claim' for one from outside, which has them for that
--       long; 'direct' for one that is not enlisted, of tasks to it alone · 4 its name · 5 its topics (JSON array), or '' for any
-- Returns: a list of {id, attempt, executor, task (JSON), until when (Unix ms)} | 'enlisted': the one that is named is, and does not ask
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most, untilMs = tonumber(ARGV[1]), now + ARGV[2]
local given = {}

-- The oldest task of a class, as '<number> <id>'.
local heads = {}
local function head(class)
  if heads[class] == nil then
    local found = redis.call('ZRANGE', KEYS[2], '[' .. class .. ' ', '(' .. class .. '!', 'BYLEX', 'LIMIT', 0, 1)[1]
    heads[class] = found and string.sub(found, #class + 2) or false
  end
  return heads[class]
end

local function oldest(executor, classes)
  local best = head('to:' .. executor)
  for _, class in ipairs(classes) do
    local place = head(class)
    if place and (not best or place < best) then
      best = place
    end
  end
  return best
end

local function classesOf(topics)
  if not topics then
    return { 'any' }
  end
  local classes = { 'topic:' }
  for i, topic in ipairs(topics) do
    classes[i + 1] = 'topic:' .. topic
  end
  return classes
end

local function give(place, executor, outside)
  local id = string.sub(place, 17)
  local state = cjson.decode(redis.call('HGET', KEYS[1], 'state:' .. id))
  redis.call('ZREM', KEYS[2], 'waiting ' .. place)
  heads['waiting'] = nil
  for _, class in ipairs(state.offers) do
    redis.call('ZREM', KEYS[2], class .. ' ' .. place)
    heads[class] = nil
  end
  state.status, state.attempt, state.executor, state.updated = 'assigned', state.attempt + 1, executor, now
  if outside then
    state.lease = untilMs
  end
  redis.call('HSET', KEYS[1], 'state:' .. id, cjson.encode(state))
  redis.call('ZADD', KEYS[2], 0, 'assigned ' .. place)
  redis.call('ZADD', KEYS[3], untilMs, id)
  given[#given + 1] = { id, state.attempt, executor, redis.call('HGET', KEYS[1], 'body:' .. id), untilMs }
  return id
end

if ARGV[3] ~= '' then
  local claims = ARGV[3] == 'claim'
  if redis.call('HEXISTS', KEYS[4], ARGV[4]) == 1 then
    return claims and 'enlisted' or given
  end
  local classes = claims and classesOf(ARGV[5] ~= '' and cjson.decode(ARGV[5])) or {}
  while #given < most do
    local place = oldest(ARGV[4], classes)
    if not place then
      break
    end
    give(place, ARGV[4], claims)
  end
  return given
end
for _, executor in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
  if #given >= most or not head('waiting') then
    break
  end
  local text = redis.call('HGET', KEYS[4], executor)
  local settings = text and cjson.decode(text)
  local place = settings and oldest(executor, classesOf(settings.topics))
  if place then
    settings.task = give(place, executor)
    redis.call('HSET', KEYS[4], executor, cjson.encode(settings))
  end
  if place or not settings then
    redis.call('ZREM', KEYS[5], executor)
  end
end
return given
