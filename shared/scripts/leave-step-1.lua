-- Gives a claim back without a commit.
-- KEYS: 1 agent
-- ARGV: 1 run id · 2 1 where the step is to be taken up again, 0 where it never began
-- Returns: 1, or 0 where the run has no claim.
if redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then
  return 0
end
redis.call('HDEL', KEYS[1], 'run', 'until')
if ARGV[2] == '0' then
  redis.call('HDEL', KEYS[1], 'open', 'print', 'attempts')
  redis.call('HINCRBY', KEYS[1], 'steps', -1)
end
return 1
