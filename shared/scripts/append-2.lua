-- Hands new pieces of the running answer to those who follow it, and renews the lease.
-- KEYS: 1 run · 2 chunks
-- ARGV: 1 run id · 2 lease in ms · 3 index of the first piece · 4 pieces (JSON array) · 5 wake-up channel
-- Returns: number of waiting callers, or -1 when the lease is lost. Pieces sent twice carry their index and are skipped.
if redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then
  return -1
end
redis.call('XADD', KEYS[2], '*', 'run', ARGV[1], 'from', ARGV[3], 'pieces', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('PUBLISH', ARGV[5], ARGV[3])
return redis.call('HLEN', KEYS[1]) - 1
