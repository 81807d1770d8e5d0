-- Makes a version of a document the one that counts, unless a later one does or it was given up. May be repeated.
-- KEYS: 1 document
-- ARGV: 1 when the index was made (Unix ms) · 2 version · 3 number of its chunks · 4 SHA-256 · 5 text · 6 metadata (JSON)
-- Returns: committed: nothing stood there | replaced | superseded: by a later write or delete | gone: with its index
local held = redis.call('HMGET', KEYS[1], 'index', 'last', 'version', 'floor', 'chunks', 'old')
local version, current, floor = tonumber(ARGV[2]), tonumber(held[3] or 0), tonumber(held[4] or 0)
if held[1] ~= ARGV[1] or not held[2] then
  return 'gone'
end
if current == version then
  return 'replaced'
end
if version < current or version <= floor then
  return 'superseded'
end
-- What is to be removed is written down with what replaces it: whoever comes after a crash finds it.
local old = held[6] or ''
if held[3] then
  old = old .. held[3] .. '.' .. held[5] .. ' '
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'chunks', ARGV[3], 'sha', ARGV[4], 'text', ARGV[5], 'metadata', ARGV[6], 'old', old)
return old == '' and 'committed' or 'replaced'
