-- Makes a version of a model of bytes that are all there. It never changes: other bytes are refused. May be repeated.
-- KEYS: 1 model (hash) · 2 its bytes (hash)
-- ARGV: 1 SHA-256 of all bytes · 2 how many parts · 3 id of the upload · 4... fields and values
-- Returns: 'made' | 'same': it was there with these bytes | 'other': it is there with others | 'incomplete': parts are missing
local held = redis.call('HGET', KEYS[1], 'sha256')
if held and held ~= ARGV[1] then
  return 'other'
end
if redis.call('HLEN', KEYS[2]) ~= tonumber(ARGV[2]) then
  return 'incomplete'
end
redis.call('PERSIST', KEYS[2])
redis.call('HSET', KEYS[1], 'upload', ARGV[3])
if held then
  return 'same'
end
redis.call('HSET', KEYS[1], 'sha256', ARGV[1], 'parts', ARGV[2], unpack(ARGV, 4))
return 'made'
