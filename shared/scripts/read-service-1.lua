-- KEYS: 1 service (hash)
-- ARGV: none
-- Returns: {now (Unix ms), its fields and values, one after the other}: who is alive is told by the clock that they expire by.
local time = redis.call('TIME')
return { time[1] * 1000 + math.floor(time[2] / 1000), redis.call('HGETALL', KEYS[1]) }
