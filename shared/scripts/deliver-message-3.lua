-- Puts a message into an agent's inbox, once; one that had its id before is another agent.
-- KEYS: 1 agent · 2 inbox · 3 which incarnation of the agent this message came to
-- ARGV: 1 message (JSON) · 2 for how many ms it is known · 3 most messages
-- Returns: 1, 0 where it came already, -1 where there is no agent, -2 where the inbox is full.
local known = redis.call('HMGET', KEYS[1], 'made', 'deleted')
if not known[1] or known[2] then
  return -1
end
if redis.call('GET', KEYS[3]) == known[1] then
  return 0
end
if redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[3]) then
  return -2
end
redis.call('SET', KEYS[3], known[1], 'PX', ARGV[2])
redis.call('XADD', KEYS[2], '*', 'message', ARGV[1])
return 1
