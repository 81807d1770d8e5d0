-- Enlists an executor that tasks are given to when it is idle, or changes its topics.
-- KEYS: 1 executors (hash: name → {topics, task} (JSON)) · 2 idle
-- ARGV: 1 name · 2 topics (JSON array), or '' for any · 3 most executors
-- Returns: 1, or 0 where there are as many as may be.
local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
  return 0
end
local settings = text and cjson.decode(text) or {}
settings.topics = ARGV[2] ~= '' and cjson.decode(ARGV[2]) or nil
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(settings))
if not settings.task then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[2], 'NX', time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
end
return 1
