-- Adds a message to the stream behind a channel and tells those who listen.
-- KEYS: 1 stream · 2 what was sent under this operation id
-- ARGV: 1 channel · 2 data (JSON) · 3 type, or '' · 4 messages that are kept · 5 how long, in ms · 6 hash of the message where it has an operation id, else ''
-- Returns: {id of the message, hash that the operation id was first sent with}
if ARGV[6] ~= '' then
  local sent = redis.call('GET', KEYS[2])
  if sent then
    local id, hash = string.match(sent, '^(%S+) (%S+)$')
    return { id, hash }
  end
end
local fields = { 'data', ARGV[2] }
local head = ''
if ARGV[3] ~= '' then
  fields[3], fields[4] = 'type', ARGV[3]
  head = '"type":"' .. ARGV[3] .. '",'
end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', unpack(fields))
local ms = tonumber(string.match(id, '^%d+'))
redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', math.max(0, ms - ARGV[5])))
redis.call('PEXPIRE', KEYS[1], ARGV[5])
if ARGV[6] ~= '' then
  redis.call('SET', KEYS[2], id .. ' ' .. ARGV[6], 'PX', ARGV[5])
end
redis.call('PUBLISH', ARGV[1], '{"id":"' .. id .. '",' .. head .. '"data":' .. ARGV[2] .. '}')
return { id, ARGV[6] }
