-- Takes a lock, or a place in the queue of those who wait for it. A lock that is free is for the first of them.
-- KEYS: 1 lock: `<token> <operation> <what was asked>`, while somebody holds it · 2 highest token ever given
--       3 waiting (sorted set: operation, by when it came, Unix µs) · 4 alive (sorted set: operation, by until when it is believed to wait, Unix ms)
-- ARGV: 1 operation id · 2 lease in ms · 3 what is asked (JSON) · 4 how soon it asks again, in ms, or 0 where it does not wait (any more)
--       5 how long a queue is kept in which nobody moves, in ms
-- Returns: {'yours', token, until (Unix ms)}: repeating an operation returns this until its lease is over
--          | {'busy', the lock, or '' where it is for the first who waits, ms left of its lease, how many wait before this one}
--          | {'mismatch'}: the operation asked for something else
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local micros = time[1] * 1000000 + time[2]
local held = redis.call('GET', KEYS[1])
if held then
  local token, operation, asked = string.match(held, '^(%d+) (%S+) (.*)$')
  if operation == ARGV[1] then
    if asked ~= ARGV[3] then
      return { 'mismatch' }
    end
    return { 'yours', tonumber(token), now + redis.call('PTTL', KEYS[1]) }
  end
end
for _, gone in ipairs(redis.call('ZRANGE', KEYS[4], '-inf', now, 'BYSCORE')) do
  redis.call('ZREM', KEYS[3], gone)
  redis.call('ZREM', KEYS[4], gone)
end
local first = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
if held or (first and first ~= ARGV[1]) then
  if ARGV[4] ~= '0' then
    redis.call('ZADD', KEYS[3], 'NX', string.format('%.0f', micros), ARGV[1])
    redis.call('ZADD', KEYS[4], string.format('%.0f', now + ARGV[4]), ARGV[1])
    redis.call('PEXPIRE', KEYS[3], ARGV[5])
    redis.call('PEXPIRE', KEYS[4], ARGV[5])
  else
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('ZREM', KEYS[4], ARGV[1])
  end
  local before = redis.call('ZRANK', KEYS[3], ARGV[1]) or redis.call('ZCARD', KEYS[3])
  return { 'busy', held or '', held and redis.call('PTTL', KEYS[1]) or 0, before }
end
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
-- The time, unless that would be no higher than the last token: so tokens rise also where the last ones were lost with a primary.
local token = math.max(micros, (tonumber(redis.call('GET', KEYS[2])) or 0) + 1)
local text = string.format('%.0f', token)
redis.call('SET', KEYS[2], text)
redis.call('SET', KEYS[1], text .. ' ' .. ARGV[1] .. ' ' .. ARGV[3], 'PX', ARGV[2])
return { 'yours', token, now + ARGV[2] }
