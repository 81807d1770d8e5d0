-- Deletes a prompt; of it stay the last version's number, so that no number is given twice, and what fences it.
-- KEYS: 1 prompt (hash: first and last version, labels (JSON), v:<version> (JSON), fence:<lock>)
-- ARGV: none
-- Returns: 1 when there was a prompt, else 0
if redis.call('HEXISTS', KEYS[1], 'first') == 0 then
  return 0
end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if field ~= 'last' and string.sub(field, 1, 6) ~= 'fence:' then
    redis.call('HDEL', KEYS[1], field)
  end
end
return 1
