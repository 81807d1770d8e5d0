-- Ends a run: stores the answer when there is one, and tells the followers how it ended.
-- KEYS: 1 entry · 2 run · 3 chunks
-- ARGV: 1 run id · 2 entry, or '' to store nothing · 3 its TTL in ms · 4 index of the first piece · 5 last pieces (JSON
--       array) · 6 end (JSON) · 7 wake-up channel · 8 how long the end stays readable, in ms
-- Returns: 1 when this run ended here (also when it is repeated), 0 when the lease is lost.
local run = redis.call('HMGET', KEYS[2], 'run', 'ended')
if run[1] ~= ARGV[1] then
  return 0
end
if run[2] then
  return 1
end
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
if redis.call('HLEN', KEYS[2]) > 1 then
  redis.call('XADD', KEYS[3], '*', 'run', ARGV[1], 'from', ARGV[4], 'pieces', ARGV[5], 'end', ARGV[6])
  redis.call('PEXPIRE', KEYS[3], ARGV[8])
  redis.call('PUBLISH', ARGV[7], ARGV[4])
end
redis.call('HSET', KEYS[2], 'ended', 1)
redis.call('PEXPIRE', KEYS[2], ARGV[8])
return 1
