-- Merges changes into preferences: all of them, or none.
-- KEYS: 1 preferences (hash: path → JSON, see shared/merge-patch.ts; version; fence:<lock> → highest token that wrote)
-- ARGV: 1 version that they must have, or '' · 2 most values · 3 most bytes · 4 for how long the version of empty ones is kept, ms
--       · 5 changes (JSON: list of [path, JSON, or '' to remove]) · 6 lock · 7 token; both '' without one
-- Returns: {ok | same | conflict, version, path, JSON, …}: how they are now | {lost, highest token} | {full}
local held, version = {}, 0
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  if string.sub(flat[i], 1, 1) == '/' then
    held[flat[i]] = flat[i + 1]
  elseif flat[i] == 'version' then
    version = tonumber(flat[i + 1])
  end
end
local function reply(outcome, values)
  local all = { outcome, version }
  for path, value in pairs(values) do
    all[#all + 1] = path
    all[#all + 1] = value
  end
  return all
end

if ARGV[6] ~= '' then
  local highest = tonumber(redis.call('HGET', KEYS[1], 'fence:' .. ARGV[6]) or 0)
  if tonumber(ARGV[7]) < highest then
    return { 'lost', highest }
  end
end
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= version then
  return reply('conflict', held)
end

local data = {}
for path, value in pairs(held) do
  data[path] = value
end
for _, change in ipairs(cjson.decode(ARGV[5])) do
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
local values, bytes = 0, 0
for path, value in pairs(data) do
  values, bytes = values + 1, bytes + #path + #value
end
if values > tonumber(ARGV[2]) or bytes > tonumber(ARGV[3]) then
  return { 'full' }
end

local outcome = 'same'
for path in pairs(held) do
  if not data[path] then
    redis.call('HDEL', KEYS[1], path)
    outcome = 'ok'
  end
end
for path, value in pairs(data) do
  if held[path] ~= value then
    redis.call('HSET', KEYS[1], path, value)
    outcome = 'ok'
  end
end
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[1], 'fence:' .. ARGV[6], ARGV[7])
end
if outcome == 'ok' then
  version = version + 1
  redis.call('HSET', KEYS[1], 'version', version)
end
if values == 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
else
  redis.call('PERSIST', KEYS[1])
end
return reply(outcome, data)
