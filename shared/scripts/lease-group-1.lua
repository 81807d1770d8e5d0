-- The right to be a group's only active consumer: taken, renewed, given back.
-- KEYS: 1 lease
-- ARGV: 1 consumer · 2 ms that it lasts, 0 to give it back, -1 in any case
-- Returns: 1 when it is held (or was given back), 0 when another one holds it. Who gives it back
-- with 0 gets 0, and keeps it, when somebody asked for it meanwhile: there may be new work.
local holder = redis.call('HGET', KEYS[1], 'holder')
if tonumber(ARGV[2]) <= 0 then
  if holder ~= ARGV[1] then
    return 1
  end
  if ARGV[2] == '0' and redis.call('HDEL', KEYS[1], 'asked') == 1 then
    return 0
  end
  redis.call('DEL', KEYS[1])
  return 1
end
if holder and holder ~= ARGV[1] then
  redis.call('HSET', KEYS[1], 'asked', '1')
  return 0
end
redis.call('HSET', KEYS[1], 'holder', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
