-- The end of a step: all of it, or nothing. Sent again by the same run it answers the same.
-- KEYS: 1 agent · 2 calls · 3 working memory · 4 journal · 5 inbox · 6 outbox · 7 result of the operation
-- ARGV: 1 run id · 2 number of the step · 3 status · 4 state (JSON) · 5 its record (JSON object) · 6 hash of the operation's body, or '' · 7 how long its
--   result is kept, in ms · 8 steps that the journal keeps · 9 messages of working memory to drop, the oldest first · 10 task in hand, or '' ·
--   11 calls that wait for a person · 12 1 where somebody goes on until the run is over · 13 how many messages were taken up, 14 are added to
--   memory, 15 are sent · 16… their ids, then their JSON
-- Returns: {version, messages in the inbox, messages in the outbox}, {'lost'} or {'deleted'}.
local had = redis.call('HMGET', KEYS[1], 'made', 'deleted', 'run', 'committed', 'steps', 'version')
if not had[1] or had[2] then
  return { 'deleted' }
end
if had[4] == ARGV[1] then
  return { tonumber(had[6]), redis.call('XLEN', KEYS[5]), redis.call('XLEN', KEYS[6]) }
end
if had[3] ~= ARGV[1] or had[5] ~= ARGV[2] then
  return { 'lost' }
end
local taken, kept, sent = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
assert(#ARGV == 15 + taken + kept + sent, 'arguments of a commit: their number')
for _, i in ipairs({ 7, 8, 9, 11 }) do
  assert(tonumber(ARGV[i]), 'arguments of a commit: a number')
end
for i = 16, 15 + taken do
  assert(string.match(ARGV[i], '^%d+%-%d+$'), 'arguments of a commit: a stream id')
end
for i = 3, 6 do
  local kind = redis.call('TYPE', KEYS[i])['ok']
  assert(kind == 'none' or kind == 'stream', 'WRONGTYPE ' .. KEYS[i])
end

local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[1], 'status', ARGV[3], 'state', ARGV[4], 'committed', ARGV[1], 'drive', ARGV[12])
for field, value in pairs({ task = ARGV[10], pending = ARGV[11] ~= '0' and ARGV[11] or '' }) do
  if value == '' then
    redis.call('HDEL', KEYS[1], field)
  else
    redis.call('HSET', KEYS[1], field, value)
  end
end
redis.call('HDEL', KEYS[1], 'run', 'until', 'open', 'print', 'attempts')
local drop = tonumber(ARGV[9])
if drop > 0 then
  redis.call('XTRIM', KEYS[3], 'MAXLEN', math.max(0, redis.call('XLEN', KEYS[3]) - drop))
end
local at = 16
if taken > 0 then
  redis.call('XDEL', KEYS[5], unpack(ARGV, at, at + taken - 1))
end
at = at + taken
for i = at, at + kept - 1 do
  redis.call('XADD', KEYS[3], '*', 'message', ARGV[i])
end
at = at + kept
for i = at, at + sent - 1 do
  redis.call('XADD', KEYS[6], '*', 'message', ARGV[i])
end
redis.call('PERSIST', KEYS[6]) -- an agent that had this id before was deleted
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*', 'version', version, 'record', ARGV[5])
if ARGV[6] ~= '' then
  redis.call('SET', KEYS[7], had[1] .. ' {"print":"' .. ARGV[6] .. '","version":' .. version .. ',"record":' .. ARGV[5] .. '}', 'PX', ARGV[7])
end
redis.call('DEL', KEYS[2])
return { version, redis.call('XLEN', KEYS[5]), redis.call('XLEN', KEYS[6]) }
