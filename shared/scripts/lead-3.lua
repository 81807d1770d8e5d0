-- Decides who calls the provider: one leader a run, everybody else follows it.
-- KEYS: 1 entry (string) · 2 run (hash: run, ended, w:<caller>) · 3 chunks (stream)
-- ARGV: 1 caller id, becomes the run id of a leader · 2 lease in ms · 3 SHA-1 of an entry that is too old, or ''
-- Returns: {'hit', entry} | {'lead'} | {'follow', run id}. Repeating it with the same caller id changes nothing.
local entry = redis.call('GET', KEYS[1])
if entry and (ARGV[3] == '' or redis.sha1hex(entry) ~= ARGV[3]) then
  return { 'hit', entry }
end
local run = redis.call('HMGET', KEYS[2], 'run', 'ended')
if run[1] and not run[2] then
  if run[1] == ARGV[1] then
    return { 'lead' }
  end
  redis.call('HSET', KEYS[2], 'w:' .. ARGV[1], 1)
  return { 'follow', run[1] }
end
-- Only where there is something to delete: once a script has written, Redis refuses it no more memory.
if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then
  redis.call('DEL', KEYS[2], KEYS[3])
end
redis.call('HSET', KEYS[2], 'run', ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return { 'lead' }
