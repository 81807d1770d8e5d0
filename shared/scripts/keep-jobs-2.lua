-- Tells that a worker still works on jobs, so that nobody takes them over.
-- KEYS: 1 leased · 2 jobs
-- ARGV: 1 lease in ms · then for each job: id · attempt
-- Returns: number of jobs that are still the worker's.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local count = 0
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], 'attempt:' .. ARGV[i]) == ARGV[i + 1] then
    count = count + redis.call('ZADD', KEYS[1], 'XX', 'CH', now + ARGV[1], ARGV[i])
  end
end
return count
