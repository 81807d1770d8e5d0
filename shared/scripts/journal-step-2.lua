-- Renews the claim of a step, and writes down what it is about to do or what came of it.
-- KEYS: 1 agent · 2 calls
-- ARGV: 1 run id · 2 claim in ms · 3… fields and values, one after the other
-- Returns: 1, or 0 where the run has lost its claim, or the agent is gone.
if redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then
  return 0
end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]))
if #ARGV > 2 then
  redis.call('HSET', KEYS[2], unpack(ARGV, 3))
end
return 1
