-- Ends sessions of a user.
-- KEYS: 1 sessions of a user, see create-session-2.lua
-- ARGV: 1 handle of the only one to end, or '' · 2 handle of the only one to keep, or ''
-- Returns: how many ended | -1: there is none to keep, and nothing was done
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local alive, kept = {}, ARGV[2] == ''
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local handle = string.match(field, '^t:(.+)$')
  if handle and (ARGV[1] == '' or ARGV[1] == handle) then
    local _, seen, idle, over = string.match(redis.call('HGET', KEYS[1], field), '^(%d+) (%d+) (%d+) (%d+)$')
    if now < seen + idle and now < tonumber(over) then
      if handle == ARGV[2] then
        kept = true
      else
        alive[#alive + 1] = handle
      end
    end
  end
end
if not kept then
  return -1
end
for _, handle in ipairs(alive) do
  redis.call('HDEL', KEYS[1], 'h:' .. handle, 'd:' .. handle, 't:' .. handle)
end
if redis.call('HLEN', KEYS[1]) == 1 then
  redis.call('DEL', KEYS[1]) -- the name alone is left
end
return #alive
