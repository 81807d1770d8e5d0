-- Connections that are there, or that left, and those that were not heard of; tells the channel who came and who went.
-- KEYS: 1 connections (sorted set by when they were last seen, Unix ms) · 2 names (hash: how many connections) · 3 stream
-- ARGV: 1 `see` or `leave` · 2 channel · 3 ms without a sign after which a connection is gone · 4 messages that the stream keeps · 5 how long, in ms · 6… connections, as `<id>/<name>`
-- Returns: number of names that are there.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function tell(event, name)
  local data = '{"event":"' .. event .. '","as":"' .. name .. '"}'
  local id = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'data', data, 'type', 'presence')
  redis.call('PEXPIRE', KEYS[3], ARGV[5])
  redis.call('PUBLISH', ARGV[2], '{"id":"' .. id .. '","type":"presence","data":' .. data .. '}')
end

local function nameOf(connection)
  return string.match(connection, '/(.*)$')
end

local function leave(connection)
  if redis.call('ZREM', KEYS[1], connection) == 1 then
    local name = nameOf(connection)
    if redis.call('HINCRBY', KEYS[2], name, -1) <= 0 then
      redis.call('HDEL', KEYS[2], name)
      tell('leave', name)
    end
  end
end

for i = 6, #ARGV do
  if ARGV[1] == 'leave' then
    leave(ARGV[i])
  elseif redis.call('ZADD', KEYS[1], now, ARGV[i]) == 1 then
    local name = nameOf(ARGV[i])
    if redis.call('HINCRBY', KEYS[2], name, 1) == 1 then
      tell('join', name)
    end
  end
end
-- After those that were seen: a sign that comes late is one.
for _, connection in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3], 'LIMIT', 0, 1000)) do
  leave(connection)
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return redis.call('HLEN', KEYS[2])
