-- What the bearer of a session's id does with it. Each use puts off its idle end.
-- KEYS: 1 sessions of a user, see create-session-2.lua
-- ARGV: 1 handle · 2 SHA-256 of the id · 3 see | end | patch <version, or ''> <most bytes> <changes: JSON list of [path, JSON, or '' to remove]>
--       | rotate <SHA-256 of the new id> <for how many ms the id before holds> <for how many ms it may be rotated again>
-- Returns: {'ok', now, user, version and data, times} | {'none'} | {'rotated'}: to another id | {'conflict', version} | {'full'}
local handle, id, op = ARGV[1], ARGV[2], ARGV[3]
local h, d, t = 'h:' .. handle, 'd:' .. handle, 't:' .. handle
local held = redis.call('HMGET', KEYS[1], h, d, t, 'user')
if not held[1] then
  return { 'none' }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local began, seen, idle, over = string.match(held[3], '^(%d+) (%d+) (%d+) (%d+)$')
if now >= seen + idle or now >= tonumber(over) then
  redis.call('HDEL', KEYS[1], h, d, t)
  return { 'none' }
end
local current, before, holds, again = string.match(held[1], '^(%S+) (%S+) (%d+) (%d+)$')
local was_mine = id == before and now < tonumber(holds)
local is_again = op == 'rotate' and id == before and ARGV[4] == current and now < tonumber(again)
if id ~= current and not was_mine and not is_again then
  return { 'none' }
end

if op == 'end' then
  redis.call('HDEL', KEYS[1], h, d, t)
elseif op == 'rotate' and not is_again then
  if id ~= current then
    return { 'rotated' }
  end
  redis.call('HSET', KEYS[1], h, string.format('%s %s %.0f %.0f', ARGV[4], id, now + ARGV[5], now + ARGV[6]))
elseif op == 'patch' then
  local version, text = string.match(held[2], '^(%d+) (.*)$')
  if ARGV[4] ~= '' and ARGV[4] ~= version then
    return { 'conflict', tonumber(version) }
  end
  local data = cjson.decode(text)
  for _, change in ipairs(cjson.decode(ARGV[6])) do
    local path, value = change[1], change[2]
    if value ~= '{}' or data[path] ~= '{}' then
      if data[path] == '{}' then -- an object goes with all that is in it
        local inside = path .. '/'
        for other in pairs(data) do
          if string.sub(other, 1, #inside) == inside then
            data[other] = nil
          end
        end
      end
      data[path] = value ~= '' and value or nil
    end
  end
  local bytes = 0
  for path, value in pairs(data) do
    bytes = bytes + #path + #value
  end
  if bytes > tonumber(ARGV[5]) then
    return { 'full' }
  end
  held[2] = string.format('%d ', version + 1) .. cjson.encode(data)
  redis.call('HSET', KEYS[1], d, held[2])
end
local times = string.format('%s %.0f %s %s', began, now, idle, over)
if op ~= 'end' then
  redis.call('HSET', KEYS[1], t, times)
elseif redis.call('HLEN', KEYS[1]) == 1 then
  redis.call('DEL', KEYS[1]) -- the name alone is left
end
return { 'ok', now, held[4], held[2], times }
