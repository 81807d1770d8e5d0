-- Leaves a tombstone where a document was: no version counts, and none that was begun before can.
-- KEYS: 1 document
-- ARGV: 1 when the index was made (Unix ms) · 2 the version that is meant, or '' for any
-- Returns: 1 deleted · 0 there is none · -1 it has another version
local held = redis.call('HMGET', KEYS[1], 'index', 'last', 'version', 'chunks', 'old')
if held[1] ~= ARGV[1] or not held[3] then
  return 0
end
if ARGV[2] ~= '' and ARGV[2] ~= held[3] then
  return -1
end
local old = (held[5] or '') .. held[3] .. '.' .. held[4] .. ' '
redis.call('HSET', KEYS[1], 'floor', held[2], 'old', old)
redis.call('HDEL', KEYS[1], 'version', 'chunks', 'sha', 'text', 'metadata')
return 1
