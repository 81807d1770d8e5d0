-- How it went with leased jobs. Who lost a job to another worker says nothing about it any more, so that a repeated call counts once.
-- KEYS: 1 leased · 2 jobs · 3 dead
-- ARGV: for each job: id · attempt · verb (done, retry, release: as if it had not been taken, dead) · ms to wait
--       · of a dead one its JSON {id, cause, attempts, at}
-- Returns: number of jobs that were still the worker's.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local count = 0
for i = 1, #ARGV, 5 do
  local id, attempt, verb, wait = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if redis.call('HGET', KEYS[2], 'attempt:' .. id) == attempt and redis.call('ZSCORE', KEYS[1], id) then
    count = count + 1
    if verb == 'retry' or verb == 'release' then
      redis.call('ZADD', KEYS[1], now + wait, id)
      if verb == 'release' then
        redis.call('HINCRBY', KEYS[2], 'attempt:' .. id, -1)
      end
    else
      redis.call('ZREM', KEYS[1], id)
      redis.call('HDEL', KEYS[2], 'attempt:' .. id)
      if verb == 'dead' then
        redis.call('HSET', KEYS[2], 'dead:' .. id, ARGV[i + 4])
        redis.call('RPUSH', KEYS[3], id)
      else
        redis.call('HDEL', KEYS[2], 'body:' .. id)
      end
    end
  end
end
return count
