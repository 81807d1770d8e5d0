-- Adds a version to a prompt and points labels to it. A version never changes, and its number is never given again.
-- KEYS: 1 prompt (hash: first and last version, labels (JSON), v:<version> (JSON), once:<operation>, fence:<lock>)
-- ARGV: 1 template (JSON) · 2 labels (JSON array) · 3 most versions · 4 most labels · 5 operation id, or '' · 6 hash of the
--       request · 7 lock that the writer holds, or '' · 8 its token
-- Returns: {'ok', version, template, labels} | {'lost', highest token that wrote} | {'versions'} or {'labels'}: there are as many as may be | {'mismatch'}:
--          the operation had another request. Repeating an operation returns its first version.
local once = 'once:' .. ARGV[5]
local known = redis.call('HMGET', KEYS[1], 'first', 'last', 'labels', once)
local labels = cjson.decode(known[3] or '{}')
if known[4] then
  local version, hash = string.match(known[4], '^(%d+) (.*)$')
  if hash ~= ARGV[6] then
    return { 'mismatch' }
  end
  return { 'ok', tonumber(version), redis.call('HGET', KEYS[1], 'v:' .. version), cjson.encode(labels) }
end
local fence = 'fence:' .. ARGV[7]
local highest = ARGV[7] ~= '' and tonumber(redis.call('HGET', KEYS[1], fence) or 0)
if highest and tonumber(ARGV[8]) < highest then
  return { 'lost', highest }
end
local version = (tonumber(known[2]) or 0) + 1
local first = tonumber(known[1]) or version
if version - first >= tonumber(ARGV[3]) then
  return { 'versions' }
end
for _, label in ipairs(cjson.decode(ARGV[2])) do
  labels[label] = version
end
local count = 0
for _ in pairs(labels) do
  count = count + 1
end
if count > tonumber(ARGV[4]) then
  return { 'labels' }
end
local text = cjson.encode(labels)
redis.call('HSET', KEYS[1], 'first', first, 'last', version, 'labels', text, 'v:' .. version, ARGV[1])
if highest then
  redis.call('HSET', KEYS[1], fence, ARGV[8])
end
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], once, version .. ' ' .. ARGV[6])
end
return { 'ok', version, ARGV[1], text }
