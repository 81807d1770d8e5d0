-- Replaces the result of what failed by the result of a later attempt. One that was done is never replaced.
-- KEYS: 1 result
-- ARGV: 1 new result (JSON) · 2 seconds until it expires · 3 how the JSON of a failed result of the same event begins
-- Returns: 1 when it was written, 0 when there is one that was done.
local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 1, #ARGV[3]) ~= ARGV[3] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
