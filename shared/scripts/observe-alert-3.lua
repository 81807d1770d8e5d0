-- Lets a rule see what came, and says whether it fires. May be repeated: nothing counts twice, and what was not sent is returned again.
-- KEYS: 1 rules (hash) · 2 state of the rule (hash) · 3 latest of what it counts (sorted set)
-- ARGV: 1 name of the rule · 2 kind: fire, rate or absence · 3 now (Unix ms) · 4 cooldown (ms) · 5 count · 6 window (ms) · 7 alert (JSON without id) of those that have none; then of each: id · Unix ms · alert (JSON without id) or ''
-- Returns: alerts to send.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return {}
end
local now, cooldown = tonumber(ARGV[3]), tonumber(ARGV[4])
local count, window = tonumber(ARGV[5]), tonumber(ARGV[6])
local firing = {}

local function fire(id, about)
  local alert = '{"id":"' .. id .. '",' .. string.sub(about ~= '' and about or ARGV[7], 2)
  local pending = 'pending:' .. id
  local known = redis.call('HMGET', KEYS[2], 'fired_at', 'fired_id', pending)
  if known[3] then
    table.insert(firing, (string.gsub(known[3], '^%d+ ', '')))
  elseif known[2] ~= id and (not known[1] or now >= tonumber(known[1]) + cooldown) then
    redis.call('HSET', KEYS[2], 'fired_at', ARGV[3], 'fired_id', id, pending, ARGV[3] .. ' ' .. alert)
    table.insert(firing, alert)
  end
end

local function counted(id, at)
  local isNew = redis.call('ZADD', KEYS[3], 'NX', at, id) == 1
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -count - 1)
  if not isNew then
    return redis.call('HGET', KEYS[2], 'fired_id') == id
  end
  -- One that was counted long ago, and comes again, has gone at once.
  if redis.call('ZCARD', KEYS[3]) < count or not redis.call('ZSCORE', KEYS[3], id) then
    return false
  end
  local oldest = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
  local newest = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')[2]
  return tonumber(newest) - tonumber(oldest) < window
end

for i = 8, #ARGV, 3 do
  local id, at, alert = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if ARGV[2] == 'absence' then
    local seen = redis.call('HGET', KEYS[2], 'seen')
    if not seen or tonumber(at) > tonumber(seen) then
      redis.call('HSET', KEYS[2], 'seen', at)
    end
  elseif ARGV[2] == 'fire' or counted(id, at) then
    fire(id, alert)
  end
end
if ARGV[2] == 'rate' then
  redis.call('PEXPIRE', KEYS[3], window + 86400000)
end
return firing
