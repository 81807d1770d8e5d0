-- Removes a version of a model and its bytes, unless it was uploaded again meanwhile.
-- KEYS: 1 model (hash) · 2 its bytes (hash)
-- ARGV: 1 id of the upload that is to go
-- Returns: 1 where it is gone · 0 where it was uploaded again, or is not there.
if redis.call('HGET', KEYS[1], 'upload') ~= ARGV[1] then
  return 0
end
redis.call('UNLINK', KEYS[1], KEYS[2])
return 1
