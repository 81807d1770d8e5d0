-- Gives a run up when nobody waits for its answer.
-- KEYS: 1 run · 2 chunks
-- ARGV: 1 run id
-- Returns: number of waiting callers; 0 means that the run is given up (or was lost before).
if redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then
  return 0
end
local waiting = redis.call('HLEN', KEYS[1]) - 1
if waiting == 0 then
  redis.call('DEL', KEYS[1], KEYS[2])
end
return waiting
