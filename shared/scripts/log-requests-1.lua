-- Adds entries to the request log, and lets go of those that are too many or too old.
-- KEYS: 1 log (stream)
-- ARGV: 1 most entries · 2 the oldest that is kept, Unix ms · 3 for how many ms entries are kept
--       then for each entry: request (JSON) · content (JSON), or ''
-- Returns: entries added
for at = 4, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('XADD', KEYS[1], '*', 'request', ARGV[at])
  else
    redis.call('XADD', KEYS[1], '*', 'request', ARGV[at], 'content', ARGV[at + 1])
  end
end
redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[1])
redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return (#ARGV - 3) / 2
