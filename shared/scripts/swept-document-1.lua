-- Notes that versions of a document were removed. A tombstone with nothing left to remove stays for an hour: a slow writer meets it.
-- KEYS: 1 document
-- ARGV: 1 when the index was made (Unix ms) · 2 `<version>.<chunks> ` of each that was removed · 3 `index` where the whole index goes,
--       else ''
-- Returns: 1 where the document has a version that counts, else 0
local held = redis.call('HMGET', KEYS[1], 'index', 'last', 'version', 'floor', 'old')
if held[1] ~= ARGV[1] then
  return 0
end
if ARGV[3] == 'index' then
  redis.call('DEL', KEYS[1])
  return 0
end
local left = {}
for one in string.gmatch(held[5] or '', '%S+ ') do
  if not string.find(' ' .. ARGV[2], ' ' .. one, 1, true) then
    left[#left + 1] = one
  end
end
redis.call('HSET', KEYS[1], 'old', table.concat(left))
if held[3] then
  return 1
end
if #left == 0 and tonumber(held[2]) <= tonumber(held[4] or 0) then
  redis.call('EXPIRE', KEYS[1], 3600)
end
return 0
