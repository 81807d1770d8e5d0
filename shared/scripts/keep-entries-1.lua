-- Tells that a consumer still works on entries, so that nobody takes them over.
-- KEYS: 1 stream
-- ARGV: 1 group · 2 consumer · then the entries' ids
-- Returns: ids of those that are the consumer's no longer.
local lost = {}
for i = 3, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) > 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
