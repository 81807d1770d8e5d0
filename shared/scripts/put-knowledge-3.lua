-- Writes facts of a topic, all of them or none. The version of a field never comes twice, though it was removed meanwhile.
-- KEYS: 1 facts (hash: field → JSON that begins with its version) · 2 changes (hash: count, floor, see below; fence:<lock>) · 3 what this operation came to
-- ARGV: 1 rest of each fact: ,"by":…,"at":…, · 2 most fields · 3 hash of the operation, or '' without an id · 4 how long it is known, in ms
--       · 5 how long the count of an empty topic is kept, in ms · 6 lock that the writer holds, or '' · 7 its token · 8 number of conditions,
--       then field and version of each (0: it is not there), then field and value (JSON, or '' to remove it) of each fact
-- Returns: {'ok', number of the change, the facts' rest, then for each fact its version, 0 where it was removed}
--          | {'conflict', field, its version} | {'lost', highest token that wrote} | {'full'} | {'mismatch'}: the operation was another one
if ARGV[3] ~= '' then
  local known = redis.call('GET', KEYS[3])
  if known then
    local reply = cjson.decode(known)
    return reply[1] == ARGV[3] and reply[2] or { 'mismatch' }
  end
end
local fence = 'fence:' .. ARGV[6]
local highest = ARGV[6] ~= '' and tonumber(redis.call('HGET', KEYS[2], fence) or 0)
if highest and tonumber(ARGV[7]) < highest then
  return { 'lost', highest }
end
local function versionOf(field)
  local fact = redis.call('HGET', KEYS[1], field)
  return fact and tonumber(string.match(fact, '^{"version":(%d+)')) or 0
end
local first = 9 + 2 * ARGV[8]
for i = 9, first - 1, 2 do
  local version = versionOf(ARGV[i])
  if version ~= tonumber(ARGV[i + 1]) then
    return { 'conflict', ARGV[i], version }
  end
end
local versions, fields = {}, redis.call('HLEN', KEYS[1])
for i = first, #ARGV, 2 do
  local version = versionOf(ARGV[i])
  versions[i] = version
  fields = fields + (version == 0 and 1 or 0) - (ARGV[i + 1] == '' and 1 or 0)
end
if fields > tonumber(ARGV[2]) then
  return { 'full' }
end
-- No version exceeds the number of changes, so that a new field which begins above it begins above all that it ever had.
local floor = tonumber(redis.call('HGET', KEYS[2], 'floor') or 0)
local count = redis.call('HINCRBY', KEYS[2], 'count', 1)
if highest then
  redis.call('HSET', KEYS[2], fence, ARGV[7])
end
local reply = { 'ok', count, ARGV[1] }
for i = first, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    if versions[i] > 0 then
      redis.call('HDEL', KEYS[1], ARGV[i])
      redis.call('HSET', KEYS[2], 'floor', count)
    end
    reply[#reply + 1] = 0
  else
    local version = (versions[i] > 0 and versions[i] or floor) + 1
    redis.call('HSET', KEYS[1], ARGV[i], '{"version":' .. version .. ARGV[1] .. '"value":' .. ARGV[i + 1] .. '}')
    reply[#reply + 1] = version
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('PERSIST', KEYS[2])
else
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
end
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[3], cjson.encode({ ARGV[3], reply }), 'PX', ARGV[4])
end
return reply
