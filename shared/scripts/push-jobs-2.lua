-- Puts jobs into a queue and wakes who works on it. A job whose id the queue still holds is there already.
-- KEYS: 1 waiting · 2 jobs
-- ARGV: 1 channel to wake by · 2 message · then for each job: id · body (JSON)
-- Returns: for each job 1 when it is new, else 0.
local added, any = {}, false
for i = 3, #ARGV, 2 do
  local new = redis.call('HSETNX', KEYS[2], 'body:' .. ARGV[i], ARGV[i + 1])
  if new == 1 then
    redis.call('RPUSH', KEYS[1], ARGV[i])
    any = true
  end
  added[#added + 1] = new
end
if any then
  redis.call('PUBLISH', ARGV[1], ARGV[2])
end
return added
