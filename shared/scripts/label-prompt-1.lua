-- Points a label of a prompt to a version, or removes the label.
-- KEYS: 1 prompt (hash: first and last version, labels (JSON), v:<version> (JSON))
-- ARGV: 1 label · 2 version, or '' to remove the label · 3 most labels
-- Returns: 'ok' | 'prompt', 'version' or 'label': there is none | 'labels': there are as many as may be
local known = redis.call('HMGET', KEYS[1], 'first', 'labels', 'v:' .. ARGV[2])
if not known[1] then
  return 'prompt'
end
local labels = cjson.decode(known[2])
if ARGV[2] == '' then
  if not labels[ARGV[1]] then
    return 'label'
  end
  labels[ARGV[1]] = nil
else
  if not known[3] then
    return 'version'
  end
  labels[ARGV[1]] = tonumber(ARGV[2])
  local count = 0
  for _ in pairs(labels) do
    count = count + 1
  end
  if count > tonumber(ARGV[3]) then
    return 'labels'
  end
end
redis.call('HSET', KEYS[1], 'labels', cjson.encode(labels))
return 'ok'
