-- Counts failed attempts: each entry waits for its next one, or goes to the dead letters. Who lost an entry to another consumer
-- says nothing about it any more, so that a repeated call counts once.
-- KEYS: 1 stream · 2 failures · 3 dead letters
-- ARGV: 1 group · 2 consumer · 3 consumer who holds what waits · 4 idle ms at which what waits is due · 5 now (RFC 3339)
--       then for each entry: id · ms to wait, -1 for the dead letters · cause
-- Returns: number of entries that were still the consumer's.
local count = 0
for i = 6, #ARGV, 3 do
  local id, wait, cause = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2]) > 0 then
    count = count + 1
    local attempts = redis.call('HINCRBY', KEYS[2], id, 1)
    if wait >= 0 then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, id, 'IDLE', tonumber(ARGV[4]) - wait, 'JUSTID')
    else
      local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
      if entry then
        local fields = entry[2]
        local about = { 'dead:id', id, 'dead:group', ARGV[1], 'dead:cause', cause, 'dead:attempts', attempts, 'dead:at', ARGV[5] }
        for _, value in ipairs(about) do
          fields[#fields + 1] = value
        end
        redis.call('XADD', KEYS[3], '*', unpack(fields))
      end
      redis.call('XACK', KEYS[1], ARGV[1], id)
      redis.call('HDEL', KEYS[2], id)
    end
  end
end
return count
