-- Gives a writer of a document its version: later than every one before it, by Redis's clock.
-- KEYS: 1 document (hash: index, last, floor, version, chunks, sha, text, metadata, old)
-- ARGV: 1 when the index was made (Unix ms)
-- Returns: the version, or -1: the document is of a later index of that name.
local held = redis.call('HMGET', KEYS[1], 'index', 'last')
local index, made = tonumber(held[1] or 0), tonumber(ARGV[1])
if index > made then
  return -1
end
if index < made then
  redis.call('DEL', KEYS[1])
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local version = math.max(now, tonumber(held[2] or 0) + 1)
redis.call('HSET', KEYS[1], 'index', ARGV[1], 'last', string.format('%.0f', version))
redis.call('PERSIST', KEYS[1])
return version
