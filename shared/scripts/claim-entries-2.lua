-- Claims entries that nobody works on: those whose wait for another attempt is over, those of consumers that died, and the consumer's
-- own that it does not say it works on: the reply that brought them was lost.
-- KEYS: 1 stream · 2 failures
-- ARGV: 1 group · 2 consumer · 3 consumer who holds what waits · 4 idle ms at which what waits is due
--       5 idle ms after which a consumer is taken for dead (0: all others are, by who holds the lease) · 6 most entries
-- Returns: a list of {id, fields, deliveries, failures}.
local most = tonumber(ARGV[6])
local claimed = {}

local function claim(consumer, idle)
  if #claimed >= most then
    return
  end
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', idle, '-', '+', most - #claimed, consumer)
  for _, entry in ipairs(pending) do
    local id = entry[1]
    local found = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], idle, id)[1]
    if found then
      local failures = tonumber(redis.call('HGET', KEYS[2], id) or 0)
      claimed[#claimed + 1] = { id, found[2], entry[4] + 1, failures }
    else -- deleted from the stream: XCLAIM has forgotten it
      redis.call('HDEL', KEYS[2], id)
    end
  end
end

claim(ARGV[3], ARGV[4])
for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #info, 2 do
    consumer[info[i]] = info[i + 1]
  end
  local isSelf = consumer.name == ARGV[2]
  if consumer.name ~= ARGV[3] and not (isSelf and ARGV[5] == '0') then
    if consumer.pending > 0 then
      claim(consumer.name, ARGV[5])
    elseif consumer.idle > 3600000 and not isSelf then -- it died with nothing in hand
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    end
  end
end
return claimed
