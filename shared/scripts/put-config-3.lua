-- Writes the next version of a configuration, or deletes it: then its values are gone, and its number and fences stay.
-- KEYS: 1 configuration (hash: version, hash of its values while there are some, h:<version> (id of its entry, and what is said of it),
--       fence:<lock>) · 2 its versions (stream) · 3 what this operation came to
-- ARGV: 1 values (JSON), or '' to delete · 2 hash of the values · 3 condition: '' · version that it must have, 0 for none · * for any
--       4 what is said of the version (JSON) · 5 most versions kept · 6 pub/sub channel · 7 hash of the operation, or '' without an id
--       8 how long it is known, in ms · 9 lock, or '' · 10 its holder's token
-- Returns: {'ok', version, id of its entry and what is said of it, 1 where there was none before}: it has these values now
--          | {'known', version}: the operation came to that earlier | {'mismatch'}: it was another one
--          | {'lost', highest token} | {'conflict', version, 0 for none} | {'absent'}: there is nothing to delete
local known = ARGV[7] ~= '' and redis.call('GET', KEYS[3])
if known then
  local hash, version = string.match(known, '^(%S+) (%d+)$')
  if hash ~= ARGV[7] then
    return { 'mismatch' }
  end
  return { 'known', tonumber(version) }
end
local fence = 'fence:' .. ARGV[9]
local found = redis.call('HMGET', KEYS[1], 'version', 'hash', fence)
local version, exists = tonumber(found[1]) or 0, found[2]
if ARGV[10] ~= '' and found[3] and tonumber(found[3]) > tonumber(ARGV[10]) then
  return { 'lost', tonumber(found[3]) }
end
local current = exists and version or 0
if ARGV[3] ~= '' and not (ARGV[3] == '*' and exists) and tonumber(ARGV[3]) ~= current then
  return { 'conflict', current }
end
if ARGV[1] == '' and not exists then
  return { 'absent' }
end
if ARGV[10] ~= '' then
  redis.call('HSET', KEYS[1], fence, ARGV[10])
end
if exists ~= ARGV[2] then
  version = version + 1
  local most = ARGV[1] == '' and 1 or tonumber(ARGV[5])
  local entry = redis.call('XADD', KEYS[2], 'MAXLEN', most, '*', 'version', version, 'about', ARGV[4], 'values', ARGV[1])
  redis.call('HSET', KEYS[1], 'version', version, 'hash', ARGV[2], 'h:' .. version, entry .. ' ' .. ARGV[4])
  for gone = version - most, math.max(1, version - ARGV[5]), -1 do
    redis.call('HDEL', KEYS[1], 'h:' .. gone)
  end
  if ARGV[1] == '' then
    redis.call('HDEL', KEYS[1], 'hash')
  end
  redis.call('PUBLISH', ARGV[6], version)
end
if ARGV[7] ~= '' then
  redis.call('SET', KEYS[3], ARGV[7] .. ' ' .. version, 'PX', ARGV[8])
end
return { 'ok', version, redis.call('HGET', KEYS[1], 'h:' .. version), exists and 0 or 1 }
