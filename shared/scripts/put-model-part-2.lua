-- Stores a part of a model's bytes. Those of an upload that never ends expire; those of a version that is there do not.
-- KEYS: 1 model (hash) · 2 its bytes (hash)
-- ARGV: 1 SHA-256 of all bytes · 2 number of the part · 3 the part (base64) · 4 seconds to live
-- Returns: 1
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
if redis.call('HGET', KEYS[1], 'sha256') ~= ARGV[1] then
  redis.call('EXPIRE', KEYS[2], ARGV[4])
end
return 1
