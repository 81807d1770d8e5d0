-- What of a document can be removed: versions that were replaced, and a begun one that does not count, which from now on cannot.
-- KEYS: 1 document
-- ARGV: 1 when the index was made (Unix ms) · 2 the begun version, or 0 · 3 number of its chunks
-- Returns: `<version>.<chunks> ` of each
local held = redis.call('HMGET', KEYS[1], 'index', 'version', 'floor', 'old')
local begun = ARGV[2] ~= '0' and (ARGV[2] .. '.' .. ARGV[3] .. ' ') or ''
if held[1] ~= ARGV[1] then
  return begun
end
local old = held[4] or ''
if held[2] == ARGV[2] or string.find(' ' .. old, ' ' .. begun, 1, true) then
  return old
end
if tonumber(ARGV[2]) > tonumber(held[3] or 0) then
  redis.call('HSET', KEYS[1], 'floor', ARGV[2])
end
return old .. begun
