-- Leaves a tombstone, which refuses the commit of a step that runs. What the agent had to send is still sent.
-- KEYS: 1 agent · 2 working memory · 3 journal · 4 inbox · 5 calls · 6 outbox
-- ARGV: 1 how long the tombstone stays, in ms
-- Returns: 1, or 0 where there is no agent.
local known = redis.call('HMGET', KEYS[1], 'made', 'deleted')
if not known[1] or known[2] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'made', known[1], 'deleted', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[6], ARGV[1])
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
return 1
