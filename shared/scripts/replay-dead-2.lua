-- Puts dead letters back into their stream as new entries.
-- KEYS: 1 stream · 2 dead letters
-- ARGV: ids of dead letters
-- Returns: a list of {id of the dead letter, id of the new entry}; those that are gone are left out.
local replayed = {}
for _, id in ipairs(ARGV) do
  local letter = redis.call('XRANGE', KEYS[2], id, id)[1]
  if letter then
    local fields = {}
    for i = 1, #letter[2], 2 do
      if string.sub(letter[2][i], 1, 5) ~= 'dead:' then
        fields[#fields + 1] = letter[2][i]
        fields[#fields + 1] = letter[2][i + 1]
      end
    end
    replayed[#replayed + 1] = { id, redis.call('XADD', KEYS[1], '*', unpack(fields)) }
    redis.call('XDEL', KEYS[2], id)
  end
end
return replayed
