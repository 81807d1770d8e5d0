-- Notes how items of a job went: each once, though it may be told again. A failure may become a success (it was replayed).
-- KEYS: 1 job · 2 results
-- ARGV: 1 seconds that both are kept · 2 now (Unix ms) · then for each item: its number · '' or its failure (JSON)
-- Returns: how many items are over, or -1 when the job is forgotten.
local SHOWN = 100
local total = tonumber(redis.call('HGET', KEYS[1], 'total'))
if not total then
  return -1
end
for i = 3, #ARGV, 2 do
  local item, failure = ARGV[i], ARGV[i + 1]
  local before = redis.call('HGET', KEYS[2], item)
  local heals = before and before ~= '' and failure == ''
  if heals then
    redis.call('HINCRBY', KEYS[1], 'failed', -1)
    redis.call('HDEL', KEYS[1], 'error:' .. item)
  end
  if not before or heals then
    redis.call('HSET', KEYS[2], item, failure)
    if failure == '' then
      redis.call('HINCRBY', KEYS[1], 'done', 1)
    elseif redis.call('HINCRBY', KEYS[1], 'failed', 1) <= SHOWN then
      redis.call('HSET', KEYS[1], 'error:' .. item, failure)
    end
  end
end
local over = redis.call('HLEN', KEYS[2])
if over >= total then
  redis.call('HSETNX', KEYS[1], 'finished_at', ARGV[2])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
return over
