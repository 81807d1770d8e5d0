-- Renews the leader's lease and says how many wait for its answer.
-- KEYS: 1 run · 2 chunks
-- ARGV: 1 run id · 2 lease in ms
-- Returns: number of waiting callers, or -1 when the lease is lost.
if redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then
  return -1
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return redis.call('HLEN', KEYS[1]) - 1
