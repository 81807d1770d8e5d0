-- Makes an agent, or gives it other settings. One that was deleted begins anew.
-- KEYS: 1 agent
-- ARGV: 1 settings (JSON) · 2 id of this incarnation, if it is a new one · 3 id of the key that it acts by, or '' · 4 time (RFC 3339)
-- Returns: {its fields and values, one after the other}.
local known = redis.call('HMGET', KEYS[1], 'made', 'deleted')
if known[2] then
  redis.call('DEL', KEYS[1])
end
if not known[1] or known[2] then
  redis.call('HSET', KEYS[1], 'made', ARGV[2], 'created_at', ARGV[4], 'status', 'idle', 'steps', 0, 'state', '{}')
  redis.call('PERSIST', KEYS[1])
end
redis.call('HSET', KEYS[1], 'settings', ARGV[1], 'key_id', ARGV[3], 'updated_at', ARGV[4], 'listed', 0)
redis.call('HINCRBY', KEYS[1], 'version', 1)
return redis.call('HGETALL', KEYS[1])
