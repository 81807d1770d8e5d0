// Made from shared/scripts/*.lua by `npm run generate`. Do not edit.
import type { Script } from './ports/redis.ts'

export const addTaskScript: Script = {
  name: 'add-task',
  sha: '503003dda4cafc802658d1582b292d47b4d1b35d',
  keyCount: 3,
  source: "-- Keeps a new task, for whoever may take it.\n-- KEYS: 1 tasks (hash: count, and of each task body:<id>, state:<id>, new:<id> until it was told, end:<id> once it is over (JSON))\n--       · 2 index · 3 due\n-- ARGV: 1 id · 2 task (JSON) · 3 classes that it is offered in (JSON array) · 4 ms until somebody looks after it · 5 most that wait\n-- Returns: 'new' | 'known' | 'other': the id is another task's | 'full'\nlocal id = ARGV[1]\nlocal held = redis.call('HGET', KEYS[1], 'body:' .. id)\nif held then\n  return held == ARGV[2] and 'known' or 'other'\nend\nif redis.call('ZLEXCOUNT', KEYS[2], '[waiting ', '(waiting!') >= tonumber(ARGV[5]) then\n  return 'full'\nend\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal number = string.format('%015d', redis.call('HINCRBY', KEYS[1], 'count', 1))\nlocal state = {\n  status = 'waiting',\n  attempt = 0,\n  number = number,\n  offers = cjson.decode(ARGV[3]),\n  created = now,\n  updated = now,\n}\nredis.call('HSET', KEYS[1], 'body:' .. id, ARGV[2], 'state:' .. id, cjson.encode(state), 'new:' .. id, 0)\nredis.call('ZADD', KEYS[2], 0, 'waiting ' .. number .. ' ' .. id)\nfor _, class in ipairs(state.offers) do\n  redis.call('ZADD', KEYS[2], 0, class .. ' ' .. number .. ' ' .. id)\nend\nredis.call('ZADD', KEYS[3], now + ARGV[4], id)\nreturn 'new'\n",
}

export const admitMemoryScript: Script = {
  name: 'admit-memory',
  sha: '0f434bca2736ad0ccca3d9ce99de7d863699dd0a',
  keyCount: 5,
  source: "-- Keeps a memory, unless its text is another one's already. Nothing is written where it returns anything but `stored`.\n-- KEYS: 1 memories · 2 hashes · 3 ids · 4 forgotten ids · 5 agent\n-- ARGV: 1 id · 2 field of the operation · 3 field of the text · 4 id that may have the text already, or '' · 5 memory (JSON) · 6 embedding\n--       model (JSON) · 7 most memories, forgotten ones included\n-- Returns: {'stored'} | {'known', id}: the operation stored that one | {'taken', id}: it has the text | {'space', model}: the agent's are in\n--          that one | {'full', id}: of the oldest forgotten one, or '' | {'deleted'}: there is no such agent any more.\nif redis.call('HEXISTS', KEYS[5], 'deleted') == 1 then\n  return { 'deleted' }\nend\nlocal known = redis.call('HMGET', KEYS[2], ARGV[2], ARGV[3], 'space')\nif known[1] then\n  return { 'known', known[1] }\nend\nif known[3] and known[3] ~= ARGV[6] then\n  return { 'space', known[3] }\nend\nif known[2] and known[2] ~= ARGV[4] then\n  return { 'taken', known[2] }\nend\nif redis.call('ZCARD', KEYS[3]) + redis.call('ZCARD', KEYS[4]) >= tonumber(ARGV[7]) then\n  return { 'full', redis.call('ZRANGE', KEYS[4], 0, 0)[1] or '' }\nend\nredis.call('HSET', KEYS[1], ARGV[1], ARGV[5])\nredis.call('HSET', KEYS[2], ARGV[2], ARGV[1], ARGV[3], ARGV[1], 'space', ARGV[6])\nredis.call('ZADD', KEYS[3], 0, ARGV[1])\nreturn { 'stored' }\n",
}

export const appendScript: Script = {
  name: 'append',
  sha: '91a8a87dcaaef8d2e6ba4840781a7094ff276614',
  keyCount: 2,
  source: "-- Hands new pieces of the running answer to those who follow it, and renews the lease.\n-- KEYS: 1 run · 2 chunks\n-- ARGV: 1 run id · 2 lease in ms · 3 index of the first piece · 4 pieces (JSON array) · 5 wake-up channel\n-- Returns: number of waiting callers, or -1 when the lease is lost. Pieces sent twice carry their index and are skipped.\nif redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then\n  return -1\nend\nredis.call('XADD', KEYS[2], '*', 'run', ARGV[1], 'from', ARGV[3], 'pieces', ARGV[4])\nredis.call('PEXPIRE', KEYS[1], ARGV[2])\nredis.call('PEXPIRE', KEYS[2], ARGV[2])\nredis.call('PUBLISH', ARGV[5], ARGV[3])\nreturn redis.call('HLEN', KEYS[1]) - 1\n",
}

export const appendRowsScript: Script = {
  name: 'append-rows',
  sha: '8ed76c71e671bd7c6cf4fbbadf8503e44dcb0a21',
  keyCount: 2,
  source: "-- Adds rows to a dataset, each once, and lets go of the oldest where there are too many. May be repeated.\n-- KEYS: 1 rows (stream) · 2 hash: row id → a line with its place in the stream, then a line for each of its labels (its time, Unix ms,\n--       space, JSON); '' → the longest that a row came after its time, ms\n-- ARGV: 1 most rows · 2 for how many ms rows are kept, 0: for good · 3 most rows to let go of now\n--       then for each row: id · its time, Unix ms · row (JSON) · its label, as a line above, or ''\n-- Returns: {rows let go of, index of each row that was there already, from 0 …}\nlocal most, kept, most_gone = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\nlocal clock = redis.call('TIME')\nlocal now = clock[1] * 1000 + math.floor(clock[2] / 1000)\nlocal count = (#ARGV - 3) / 4\nlocal late = tonumber(redis.call('HGET', KEYS[2], '') or 0)\n\nlocal reply, fields = { 0 }, {}\nlocal function flush()\n  if #fields > 0 then\n    redis.call('HSET', KEYS[2], unpack(fields))\n    fields = {}\n  end\nend\nlocal within = {}\nfor from = 1, count, 1000 do\n  local to = math.min(from + 999, count)\n  local ids = {}\n  for n = from, to do\n    ids[#ids + 1] = ARGV[4 * n]\n  end\n  local held = redis.call('HMGET', KEYS[2], unpack(ids))\n  for n = from, to do\n    local id, at, row, label = ARGV[4 * n], ARGV[4 * n + 1], ARGV[4 * n + 2], ARGV[4 * n + 3]\n    if held[n - from + 1] or within[id] then\n      reply[#reply + 1] = n - 1\n    else\n      within[id] = true\n      local place = redis.call('XADD', KEYS[1], '*', 'id', id, 'at', at, 'row', row)\n      fields[#fields + 1] = id\n      fields[#fields + 1] = label == '' and place or place .. '\\n' .. label\n      late = math.max(late, now - tonumber(at))\n    end\n  end\n  flush()\nend\n\nlocal length = redis.call('XLEN', KEYS[1])\nlocal function is_over(place, gone)\n  return length - gone > most or (kept > 0 and tonumber(string.match(place, '^%d+')) < now - kept)\nend\nlocal first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]\nif first and is_over(first[1], 0) then\n  local gone, ids = 0, {}\n  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', most_gone)) do\n    if not is_over(entry[1], gone) then\n      break\n    end\n    gone = gone + 1\n    ids[#ids + 1] = entry[2][2]\n    if #ids == 1000 then\n      redis.call('HDEL', KEYS[2], unpack(ids))\n      ids = {}\n    end\n  end\n  if #ids > 0 then\n    redis.call('HDEL', KEYS[2], unpack(ids))\n  end\n  redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', length - gone)\n  reply[1] = gone\nend\nif #reply - 1 < count then\n  redis.call('HSET', KEYS[2], '', late)\nend\nfor _, key in ipairs(KEYS) do\n  if kept > 0 then\n    redis.call('PEXPIRE', key, kept)\n  else\n    redis.call('PERSIST', key)\n  end\nend\nreturn reply\n",
}

export const assignTasksScript: Script = {
  name: 'assign-tasks',
  sha: '5adfebfd99123cf0ea875a56d82c6562f07a88bb',
  keyCount: 5,
  source: "-- Gives waiting tasks to executors, to each the oldest that it may take: to those that are idle, the longest idle first, or to one that\n-- is named.\n-- KEYS: 1 tasks · 2 index · 3 due · 4 executors · 5 idle\n-- ARGV: 1 most tasks · 2 ms until somebody looks after them · 3 '' for idle executors; 'claim' for one from outside, which has them for that\n--       long; 'direct' for one that is not enlisted, of tasks to it alone · 4 its name · 5 its topics (JSON array), or '' for any\n-- Returns: a list of {id, attempt, executor, task (JSON), until when (Unix ms)} | 'enlisted': the one that is named is, and does not ask\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal most, untilMs = tonumber(ARGV[1]), now + ARGV[2]\nlocal given = {}\n\n-- The oldest task of a class, as '<number> <id>'.\nlocal heads = {}\nlocal function head(class)\n  if heads[class] == nil then\n    local found = redis.call('ZRANGE', KEYS[2], '[' .. class .. ' ', '(' .. class .. '!', 'BYLEX', 'LIMIT', 0, 1)[1]\n    heads[class] = found and string.sub(found, #class + 2) or false\n  end\n  return heads[class]\nend\n\nlocal function oldest(executor, classes)\n  local best = head('to:' .. executor)\n  for _, class in ipairs(classes) do\n    local place = head(class)\n    if place and (not best or place < best) then\n      best = place\n    end\n  end\n  return best\nend\n\nlocal function classesOf(topics)\n  if not topics then\n    return { 'any' }\n  end\n  local classes = { 'topic:' }\n  for i, topic in ipairs(topics) do\n    classes[i + 1] = 'topic:' .. topic\n  end\n  return classes\nend\n\nlocal function give(place, executor, outside)\n  local id = string.sub(place, 17)\n  local state = cjson.decode(redis.call('HGET', KEYS[1], 'state:' .. id))\n  redis.call('ZREM', KEYS[2], 'waiting ' .. place)\n  heads['waiting'] = nil\n  for _, class in ipairs(state.offers) do\n    redis.call('ZREM', KEYS[2], class .. ' ' .. place)\n    heads[class] = nil\n  end\n  state.status, state.attempt, state.executor, state.updated = 'assigned', state.attempt + 1, executor, now\n  if outside then\n    state.lease = untilMs\n  end\n  redis.call('HSET', KEYS[1], 'state:' .. id, cjson.encode(state))\n  redis.call('ZADD', KEYS[2], 0, 'assigned ' .. place)\n  redis.call('ZADD', KEYS[3], untilMs, id)\n  given[#given + 1] = { id, state.attempt, executor, redis.call('HGET', KEYS[1], 'body:' .. id), untilMs }\n  return id\nend\n\nif ARGV[3] ~= '' then\n  local claims = ARGV[3] == 'claim'\n  if redis.call('HEXISTS', KEYS[4], ARGV[4]) == 1 then\n    return claims and 'enlisted' or given\n  end\n  local classes = claims and classesOf(ARGV[5] ~= '' and cjson.decode(ARGV[5])) or {}\n  while #given < most do\n    local place = oldest(ARGV[4], classes)\n    if not place then\n      break\n    end\n    give(place, ARGV[4], claims)\n  end\n  return given\nend\nfor _, executor in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do\n  if #given >= most or not head('waiting') then\n    break\n  end\n  local text = redis.call('HGET', KEYS[4], executor)\n  local settings = text and cjson.decode(text)\n  local place = settings and oldest(executor, classesOf(settings.topics))\n  if place then\n    settings.task = give(place, executor)\n    redis.call('HSET', KEYS[4], executor, cjson.encode(settings))\n  end\n  if place or not settings then\n    redis.call('ZREM', KEYS[5], executor)\n  end\nend\nreturn given\n",
}

export const beatScript: Script = {
  name: 'beat',
  sha: 'ef185d55d98fbb880d3ffd51be183eaa3a3c17e0',
  keyCount: 2,
  source: "-- Renews the leader's lease and says how many wait for its answer.\n-- KEYS: 1 run · 2 chunks\n-- ARGV: 1 run id · 2 lease in ms\n-- Returns: number of waiting callers, or -1 when the lease is lost.\nif redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then\n  return -1\nend\nredis.call('PEXPIRE', KEYS[1], ARGV[2])\nredis.call('PEXPIRE', KEYS[2], ARGV[2])\nreturn redis.call('HLEN', KEYS[1]) - 1\n",
}

export const beginDocumentScript: Script = {
  name: 'begin-document',
  sha: '9173d48a6814d1c6d91e27d6120711c7d22706f4',
  keyCount: 1,
  source: "-- Gives a writer of a document its version: later than every one before it, by Redis's clock.\n-- KEYS: 1 document (hash: index, last, floor, version, chunks, sha, text, metadata, old)\n-- ARGV: 1 when the index was made (Unix ms)\n-- Returns: the version, or -1: the document is of a later index of that name.\nlocal held = redis.call('HMGET', KEYS[1], 'index', 'last')\nlocal index, made = tonumber(held[1] or 0), tonumber(ARGV[1])\nif index > made then\n  return -1\nend\nif index < made then\n  redis.call('DEL', KEYS[1])\nend\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal version = math.max(now, tonumber(held[2] or 0) + 1)\nredis.call('HSET', KEYS[1], 'index', ARGV[1], 'last', string.format('%.0f', version))\nredis.call('PERSIST', KEYS[1])\nreturn version\n",
}

export const beginStepScript: Script = {
  name: 'begin-step',
  sha: 'a124c14735db8becc35b3fee0edb2b09c7523805',
  keyCount: 5,
  source: "-- Claims an agent for one step. A step that its runner left unfinished is what comes next.\n-- KEYS: 1 agent · 2 inbox · 3 calls · 4 working memory · 5 result of this operation\n-- ARGV: 1 run id: the fence · 2 claim in ms · 3 hash of the operation id, or '' · 4 hash of its body · 5 its message (JSON), or '' · 6 whether somebody goes on\n--   until the run is over: 1, 0, or '' where that stays as it is · 7 1 where it brings decisions, 2 where it brings nothing else, or '' · 8 most messages\n-- Returns: {'missing'}, {'deleted'}, {'known', result}, {'other'}: this operation was begun with another body, {'busy', ms}, {'undecided'},\n--   {'decided'}: there is nothing to decide, or {'begun', the agent's fields and values, working memory, inbox, calls}.\nlocal had = redis.call('HMGET', KEYS[1], 'made', 'deleted', 'run', 'until', 'open', 'pending', 'print')\nif not had[1] then\n  return { 'missing' }\nend\nif had[2] then\n  return { 'deleted' }\nend\nif ARGV[3] ~= '' then\n  local known = redis.call('GET', KEYS[5])\n  -- What was done by an agent that had this id before is not its own.\n  if known and string.sub(known, 1, #had[1] + 1) == had[1] .. ' ' then\n    return { 'known', string.sub(known, #had[1] + 2) }\n  end\n  if had[5] == ARGV[3] and had[7] ~= ARGV[4] then\n    return { 'other' }\n  end\nend\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal again = had[3] == ARGV[1]\nif not again then\n  if had[3] and tonumber(had[4]) > now then\n    return { 'busy', tonumber(had[4]) - now }\n  end\n  if had[6] and ARGV[7] == '' and not had[5] then\n    return { 'undecided' }\n  end\n  if ARGV[7] == '2' and not had[6] and not had[5] then\n    return { 'decided' }\n  end\n  if had[5] then\n    redis.call('HINCRBY', KEYS[1], 'attempts', 1)\n  else\n    redis.call('HINCRBY', KEYS[1], 'steps', 1)\n    redis.call('HSET', KEYS[1], 'open', ARGV[3], 'print', ARGV[4], 'attempts', 1)\n    if ARGV[5] ~= '' then\n      redis.call('XADD', KEYS[2], '*', 'message', ARGV[5])\n    end\n    if ARGV[6] ~= '' then\n      redis.call('HSET', KEYS[1], 'drive', ARGV[6])\n    end\n  end\nend\nredis.call('HSET', KEYS[1], 'run', ARGV[1], 'until', string.format('%.0f', now + ARGV[2]))\nreturn {\n  'begun',\n  redis.call('HGETALL', KEYS[1]),\n  redis.call('XRANGE', KEYS[4], '-', '+'),\n  redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', ARGV[8]),\n  redis.call('HGETALL', KEYS[3]),\n}\n",
}

export const breakerScript: Script = {
  name: 'breaker',
  sha: '1838d55664fcf612fa725cf8548582f95ed7914d',
  keyCount: 1,
  source: "-- The life of one breaker: closed, open, half open with one probe; or held by hand. Times are Redis's own: one clock for all.\n-- KEYS: 1 breaker (hash: until, probe, probe_until, manual, manual_until, manual_ms; +<slice> and -<slice> count outcomes)\n-- ARGV: 1 window in ms · 2 least calls in it · 3 failure rate that opens · 4 open for ms · 5 a probe's lease in ms · then\n--       look | count <succeeded> <failed> | ask <id> | end <id> <ok, failed or released> | set <open, closed or auto> <ms, 0: for good>\n-- Returns: {closed | open | half-open | probe, ms left, succeeded, failed, held by hand: 0 or 1}. `probe`: it is the asker's to make.\n--          ask, end and set change nothing when they are repeated; count does, so it is sent once.\nlocal key = KEYS[1]\nlocal window, least, rate = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\nlocal open_ms, lease_ms = tonumber(ARGV[4]), tonumber(ARGV[5])\nlocal op, a, b = ARGV[6], ARGV[7], ARGV[8]\nlocal DAY = 86400000\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal slice = math.floor(now / (window / 10))\n\nlocal is = {}\nlocal function read()\n  is = {}\n  local flat = redis.call('HGETALL', key)\n  for i = 1, #flat, 2 do\n    is[flat[i]] = flat[i + 1]\n  end\nend\n\nlocal function write(...)\n  redis.call('HSET', key, ...)\n  redis.call('PEXPIRE', key, DAY)\nend\n\n-- Milliseconds until then. Further ahead than it can be: the clock was set back, and it counts anew from now.\nlocal function left(field, longest)\n  local at = tonumber(is[field]) or 0\n  if at - now > longest then\n    at = now + longest\n    redis.call('HSET', key, field, at)\n  end\n  return math.max(0, at - now)\nend\n\nlocal function state()\n  if is.manual == 'closed' then\n    return 'closed', left('manual_until', tonumber(is.manual_ms))\n  end\n  if is.manual == 'open' then\n    return 'open', left('manual_until', tonumber(is.manual_ms))\n  end\n  if not is['until'] then\n    return 'closed', 0\n  end\n  local waits = left('until', open_ms)\n  if waits > 0 then\n    return 'open', waits\n  end\n  return 'half-open', is.probe and left('probe_until', lease_ms) or 0\nend\n\nlocal function counted()\n  local succeeded, failed = 0, 0\n  for field, value in pairs(is) do\n    local sign, at = string.match(field, '^([+-])(%d+)$')\n    if sign and (tonumber(at) <= slice - 10 or tonumber(at) > slice) then\n      redis.call('HDEL', key, field)\n    elseif sign == '+' then\n      succeeded = succeeded + value\n    elseif sign == '-' then\n      failed = failed + value\n    end\n  end\n  return succeeded, failed\nend\n\nread()\nif is.manual and is.manual_ms ~= '0' and left('manual_until', tonumber(is.manual_ms)) == 0 then\n  if is.manual == 'open' then\n    write('until', now) -- a probe decides\n  end\n  redis.call('HDEL', key, 'manual', 'manual_until', 'manual_ms')\n  read()\nend\n\nif op == 'count' and not is.manual and not is['until'] then\n  write('+' .. slice, (is['+' .. slice] or 0) + a, '-' .. slice, (is['-' .. slice] or 0) + b)\n  read()\n  local succeeded, failed = counted()\n  if failed > 0 and succeeded + failed >= least and failed / (succeeded + failed) >= rate then\n    redis.call('DEL', key)\n    write('until', now + open_ms)\n  end\nelseif op == 'ask' then\n  local now_is, waits = state()\n  if now_is == 'half-open' and (waits == 0 or is.probe == a) then\n    write('probe', a, 'probe_until', now + lease_ms)\n    return { 'probe', lease_ms, 0, 0, 0 }\n  end\nelseif op == 'end' and is.probe == a then\n  if b == 'ok' then\n    redis.call('DEL', key)\n  else\n    redis.call('HDEL', key, 'probe', 'probe_until')\n    if b == 'failed' then\n      write('until', now + open_ms)\n    end\n  end\nelseif op == 'set' then\n  redis.call('DEL', key)\n  if a ~= 'auto' then\n    write('manual', a, 'manual_ms', b, 'manual_until', now + b)\n    redis.call('PEXPIRE', key, DAY + b)\n    if b == '0' then\n      redis.call('PERSIST', key)\n    end\n  end\nend\n\nread()\nlocal now_is, waits = state()\nlocal succeeded, failed = counted()\nreturn { now_is, waits, succeeded, failed, is.manual and 1 or 0 }\n",
}

export const claimDueScript: Script = {
  name: 'claim-due',
  sha: 'd8b60245cfc8b4e30e5f7943eb9be22ba58a246a',
  keyCount: 1,
  source: "-- Hands out what is due, each to one at a time.\n-- KEYS: 1 sorted set: what, by when it is due (Unix ms)\n-- ARGV: 1 most of them · 2 for how many ms nobody else gets them\n-- Returns: what is due; it stays in the set until who got it removes it.\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal due = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])\nfor _, one in ipairs(due) do\n  redis.call('ZADD', KEYS[1], now + ARGV[2], one)\nend\nreturn due\n",
}

export const claimEntriesScript: Script = {
  name: 'claim-entries',
  sha: '38175a9aa0b0fdec653d88a043cba62820ce512e',
  keyCount: 2,
  source: "-- Claims entries that nobody works on: those whose wait for another attempt is over, and those of consumers that died.\n-- KEYS: 1 stream · 2 failures\n-- ARGV: 1 group · 2 consumer · 3 consumer who holds what waits · 4 idle ms at which what waits is due\n--       5 idle ms after which a consumer is taken for dead · 6 most entries\n-- Returns: a list of {id, fields, deliveries, failures}.\nlocal most = tonumber(ARGV[6])\nlocal claimed = {}\n\nlocal function claim(consumer, idle)\n  if #claimed >= most then\n    return\n  end\n  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', idle, '-', '+', most - #claimed, consumer)\n  for _, entry in ipairs(pending) do\n    local id = entry[1]\n    local found = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], idle, id)[1]\n    if found then\n      local failures = tonumber(redis.call('HGET', KEYS[2], id) or 0)\n      claimed[#claimed + 1] = { id, found[2], entry[4] + 1, failures }\n    else -- deleted from the stream: XCLAIM has forgotten it\n      redis.call('HDEL', KEYS[2], id)\n    end\n  end\nend\n\nclaim(ARGV[3], ARGV[4])\nfor _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do\n  local consumer = {}\n  for i = 1, #info, 2 do\n    consumer[info[i]] = info[i + 1]\n  end\n  if consumer.name ~= ARGV[2] and consumer.name ~= ARGV[3] then\n    if consumer.pending > 0 then\n      claim(consumer.name, ARGV[5])\n    elseif consumer.idle > 3600000 then -- it died with nothing in hand\n      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)\n    end\n  end\nend\nreturn claimed\n",
}

export const claimSchedulesScript: Script = {
  name: 'claim-schedules',
  sha: '711522203da438626703d5e53fdbc890af9d0fe9',
  keyCount: 2,
  source: "-- Hands out schedules, each to one runner at a time. A due time stays planned until a run of it succeeded: a runner that dies leaves it.\n-- KEYS: 1 schedules:due (sorted set: which, by when in Unix ms) · 2 its runs (hash: which → `<planned> <run>`)\n-- ARGV: 1 run · 2 most of them · 3 lease in ms · 4 the one that is wanted now, due or not; or '' for what is due\n-- Returns: now in Unix ms, when the next one is due or '', then of each one its name and for when it was planned.\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal function score(one)\n  return tonumber(redis.call('ZSCORE', KEYS[1], one) or now)\nend\nlocal wanted = { ARGV[4] }\nif ARGV[4] == '' then\n  wanted = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[2])\nend\nlocal claimed = {}\nfor _, one in ipairs(wanted) do\n  local due = score(one)\n  local planned, run = string.match(redis.call('HGET', KEYS[2], one) or '', '^(%d+) (.*)$')\n  if due <= now or (run or '') == '' then\n    planned = planned or string.format('%.0f', math.min(due, now))\n    redis.call('HSET', KEYS[2], one, planned .. ' ' .. ARGV[1])\n    redis.call('ZADD', KEYS[1], now + ARGV[3], one)\n    table.insert(claimed, one)\n    table.insert(claimed, planned)\n  end\nend\nlocal following = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]\nreturn { string.format('%.0f', now), following or '', unpack(claimed) }\n",
}

export const commitDocumentScript: Script = {
  name: 'commit-document',
  sha: '1e777abdf2fa720b948e08fb67ee94bd4ebea59a',
  keyCount: 1,
  source: "-- Makes a version of a document the one that counts, unless a later one does or it was given up. May be repeated.\n-- KEYS: 1 document\n-- ARGV: 1 when the index was made (Unix ms) · 2 version · 3 number of its chunks · 4 SHA-256 · 5 text · 6 metadata (JSON)\n-- Returns: committed: nothing stood there | replaced | superseded: by a later write or delete | gone: with its index\nlocal held = redis.call('HMGET', KEYS[1], 'index', 'last', 'version', 'floor', 'chunks', 'old')\nlocal version, current, floor = tonumber(ARGV[2]), tonumber(held[3] or 0), tonumber(held[4] or 0)\nif held[1] ~= ARGV[1] or not held[2] then\n  return 'gone'\nend\nif current == version then\n  return 'replaced'\nend\nif version < current or version <= floor then\n  return 'superseded'\nend\n-- What is to be removed is written down with what replaces it: whoever comes after a crash finds it.\nlocal old = held[6] or ''\nif held[3] then\n  old = old .. held[3] .. '.' .. held[5] .. ' '\nend\nredis.call('HSET', KEYS[1], 'version', ARGV[2], 'chunks', ARGV[3], 'sha', ARGV[4], 'text', ARGV[5], 'metadata', ARGV[6], 'old', old)\nreturn old == '' and 'committed' or 'replaced'\n",
}

export const commitModelScript: Script = {
  name: 'commit-model',
  sha: '7c76d2e87c0b6fe1003d506b582821d7acc9b97b',
  keyCount: 2,
  source: "-- Makes a version of a model of bytes that are all there. It never changes: other bytes are refused. May be repeated.\n-- KEYS: 1 model (hash) · 2 its bytes (hash)\n-- ARGV: 1 SHA-256 of all bytes · 2 how many parts · 3 id of the upload · 4... fields and values\n-- Returns: 'made' | 'same': it was there with these bytes | 'other': it is there with others | 'incomplete': parts are missing\nlocal held = redis.call('HGET', KEYS[1], 'sha256')\nif held and held ~= ARGV[1] then\n  return 'other'\nend\nif redis.call('HLEN', KEYS[2]) ~= tonumber(ARGV[2]) then\n  return 'incomplete'\nend\nredis.call('PERSIST', KEYS[2])\nredis.call('HSET', KEYS[1], 'upload', ARGV[3])\nif held then\n  return 'same'\nend\nredis.call('HSET', KEYS[1], 'sha256', ARGV[1], 'parts', ARGV[2], unpack(ARGV, 4))\nreturn 'made'\n",
}

export const commitStepScript: Script = {
  name: 'commit-step',
  sha: 'dcbda4f1246ee85b01b3d6d1cbfae4986dca02d9',
  keyCount: 7,
  source: "-- The end of a step: all of it, or nothing. Sent again by the same run it answers the same.\n-- KEYS: 1 agent · 2 calls · 3 working memory · 4 journal · 5 inbox · 6 outbox · 7 result of the operation\n-- ARGV: 1 run id · 2 number of the step · 3 status · 4 state (JSON) · 5 its record (JSON object) · 6 hash of the operation's body, or '' · 7 how long its\n--   result is kept, in ms · 8 steps that the journal keeps · 9 messages of working memory to drop, the oldest first · 10 task in hand, or '' ·\n--   11 calls that wait for a person · 12 1 where somebody goes on until the run is over · 13 how many messages were taken up, 14 are added to\n--   memory, 15 are sent · 16… their ids, then their JSON\n-- Returns: {version, messages in the inbox, messages in the outbox}, {'lost'} or {'deleted'}.\nlocal had = redis.call('HMGET', KEYS[1], 'made', 'deleted', 'run', 'committed', 'steps', 'version')\nif not had[1] or had[2] then\n  return { 'deleted' }\nend\nif had[4] == ARGV[1] then\n  return { tonumber(had[6]), redis.call('XLEN', KEYS[5]), redis.call('XLEN', KEYS[6]) }\nend\nif had[3] ~= ARGV[1] or had[5] ~= ARGV[2] then\n  return { 'lost' }\nend\nlocal taken, kept, sent = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])\nassert(#ARGV == 15 + taken + kept + sent, 'arguments of a commit: their number')\nfor _, i in ipairs({ 7, 8, 9, 11 }) do\n  assert(tonumber(ARGV[i]), 'arguments of a commit: a number')\nend\nfor i = 16, 15 + taken do\n  assert(string.match(ARGV[i], '^%d+%-%d+$'), 'arguments of a commit: a stream id')\nend\nfor i = 3, 6 do\n  local kind = redis.call('TYPE', KEYS[i])['ok']\n  assert(kind == 'none' or kind == 'stream', 'WRONGTYPE ' .. KEYS[i])\nend\n\nlocal version = redis.call('HINCRBY', KEYS[1], 'version', 1)\nredis.call('HSET', KEYS[1], 'status', ARGV[3], 'state', ARGV[4], 'committed', ARGV[1], 'drive', ARGV[12])\nfor field, value in pairs({ task = ARGV[10], pending = ARGV[11] ~= '0' and ARGV[11] or '' }) do\n  if value == '' then\n    redis.call('HDEL', KEYS[1], field)\n  else\n    redis.call('HSET', KEYS[1], field, value)\n  end\nend\nredis.call('HDEL', KEYS[1], 'run', 'until', 'open', 'print', 'attempts')\nlocal drop = tonumber(ARGV[9])\nif drop > 0 then\n  redis.call('XTRIM', KEYS[3], 'MAXLEN', math.max(0, redis.call('XLEN', KEYS[3]) - drop))\nend\nlocal at = 16\nif taken > 0 then\n  redis.call('XDEL', KEYS[5], unpack(ARGV, at, at + taken - 1))\nend\nat = at + taken\nfor i = at, at + kept - 1 do\n  redis.call('XADD', KEYS[3], '*', 'message', ARGV[i])\nend\nat = at + kept\nfor i = at, at + sent - 1 do\n  redis.call('XADD', KEYS[6], '*', 'message', ARGV[i])\nend\nredis.call('PERSIST', KEYS[6]) -- an agent that had this id before was deleted\nredis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*', 'version', version, 'record', ARGV[5])\nif ARGV[6] ~= '' then\n  redis.call('SET', KEYS[7], had[1] .. ' {\"print\":\"' .. ARGV[6] .. '\",\"version\":' .. version .. ',\"record\":' .. ARGV[5] .. '}', 'PX', ARGV[7])\nend\nredis.call('DEL', KEYS[2])\nreturn { version, redis.call('XLEN', KEYS[5]), redis.call('XLEN', KEYS[6]) }\n",
}

export const deleteAgentScript: Script = {
  name: 'delete-agent',
  sha: '7a9bca4214d649056da0cb9343356075fc4a9475',
  keyCount: 6,
  source: "-- Leaves a tombstone, which refuses the commit of a step that runs. What the agent had to send is still sent.\n-- KEYS: 1 agent · 2 working memory · 3 journal · 4 inbox · 5 calls · 6 outbox\n-- ARGV: 1 how long the tombstone stays, in ms\n-- Returns: 1, or 0 where there is no agent.\nlocal known = redis.call('HMGET', KEYS[1], 'made', 'deleted')\nif not known[1] or known[2] then\n  return 0\nend\nredis.call('DEL', KEYS[1])\nredis.call('HSET', KEYS[1], 'made', known[1], 'deleted', 1)\nredis.call('PEXPIRE', KEYS[1], ARGV[1])\nredis.call('PEXPIRE', KEYS[6], ARGV[1])\nredis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5])\nreturn 1\n",
}

export const deleteDocumentScript: Script = {
  name: 'delete-document',
  sha: '20f36423b77cfb2b693eef06d2714665086fc8fc',
  keyCount: 1,
  source: "-- Leaves a tombstone where a document was: no version counts, and none that was begun before can.\n-- KEYS: 1 document\n-- ARGV: 1 when the index was made (Unix ms) · 2 the version that is meant, or '' for any\n-- Returns: 1 deleted · 0 there is none · -1 it has another version\nlocal held = redis.call('HMGET', KEYS[1], 'index', 'last', 'version', 'chunks', 'old')\nif held[1] ~= ARGV[1] or not held[3] then\n  return 0\nend\nif ARGV[2] ~= '' and ARGV[2] ~= held[3] then\n  return -1\nend\nlocal old = (held[5] or '') .. held[3] .. '.' .. held[4] .. ' '\nredis.call('HSET', KEYS[1], 'floor', held[2], 'old', old)\nredis.call('HDEL', KEYS[1], 'version', 'chunks', 'sha', 'text', 'metadata')\nreturn 1\n",
}

export const deleteKnowledgeScript: Script = {
  name: 'delete-knowledge',
  sha: 'fdee2fe3ba35003352831837a227c099f71e045b',
  keyCount: 2,
  source: "-- Removes all facts of a topic; what counts its changes stays for a while, so that no version comes twice.\n-- KEYS: 1 facts · 2 changes\n-- ARGV: 1 how long the count is kept, in ms\n-- Returns: number of the change, or 0 where there was nothing.\nif redis.call('DEL', KEYS[1]) == 0 then\n  return 0\nend\nlocal count = redis.call('HINCRBY', KEYS[2], 'count', 1)\nredis.call('HSET', KEYS[2], 'floor', count)\nredis.call('PEXPIRE', KEYS[2], ARGV[1])\nreturn count\n",
}

export const deletePromptScript: Script = {
  name: 'delete-prompt',
  sha: '6ad499207f8ed941a1aa797b1961556dc9af8116',
  keyCount: 1,
  source: "-- Deletes a prompt; of it stays the last version's number, so that no number is given twice.\n-- KEYS: 1 prompt (hash: first and last version, labels (JSON), v:<version> (JSON))\n-- ARGV: none\n-- Returns: 1 when there was a prompt, else 0\nlocal known = redis.call('HMGET', KEYS[1], 'first', 'last')\nif not known[1] then\n  return 0\nend\nredis.call('DEL', KEYS[1])\nredis.call('HSET', KEYS[1], 'last', known[2])\nreturn 1\n",
}

export const deliverMessageScript: Script = {
  name: 'deliver-message',
  sha: 'cff047530ebe699478a88d73a6ec10150990367d',
  keyCount: 3,
  source: "-- Puts a message into an agent's inbox, once; one that had its id before is another agent.\n-- KEYS: 1 agent · 2 inbox · 3 which incarnation of the agent this message came to\n-- ARGV: 1 message (JSON) · 2 for how many ms it is known · 3 most messages\n-- Returns: 1, 0 where it came already, -1 where there is no agent, -2 where the inbox is full.\nlocal known = redis.call('HMGET', KEYS[1], 'made', 'deleted')\nif not known[1] or known[2] then\n  return -1\nend\nif redis.call('GET', KEYS[3]) == known[1] then\n  return 0\nend\nif redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[3]) then\n  return -2\nend\nredis.call('SET', KEYS[3], known[1], 'PX', ARGV[2])\nredis.call('XADD', KEYS[2], '*', 'message', ARGV[1])\nreturn 1\n",
}

export const dropFeaturesScript: Script = {
  name: 'drop-features',
  sha: '069b7e9eaef97809ddfc177ebf0d1b9ebc92ab0e',
  keyCount: 1,
  source: "-- Removes an entity that a deleted view left, but none of a later view of that name.\n-- KEYS: 1 entity (hash; '@' → epoch of its view)\n-- ARGV: 1 epoch of the deleted view\n-- Returns: 1 where it was removed, else 0.\nlocal epoch = redis.call('HGET', KEYS[1], '@')\nif epoch and tonumber(epoch) <= tonumber(ARGV[1]) then\n  return redis.call('UNLINK', KEYS[1])\nend\nreturn 0\n",
}

export const dropMemoriesScript: Script = {
  name: 'drop-memories',
  sha: '10573869801a6bcda92617bed63359c0b0d08431',
  keyCount: 5,
  source: "-- Removes all memories of an agent at once, and keeps their ids for whoever removes their vectors.\n-- KEYS: 1 memories · 2 hashes · 3 ids · 4 forgotten ids · 5 dropped ids\n-- ARGV: none\n-- Returns: number of memories.\nlocal count = redis.call('ZUNIONSTORE', KEYS[5], 2, KEYS[3], KEYS[4])\nredis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])\nreturn count\n",
}

export const endScript: Script = {
  name: 'end',
  sha: '88d5f2267822ef3fa791b1f72fd30882f45e0d82',
  keyCount: 3,
  source: "-- Ends a run: stores the answer when there is one, and tells the followers how it ended.\n-- KEYS: 1 entry · 2 run · 3 chunks\n-- ARGV: 1 run id · 2 entry, or '' to store nothing · 3 its TTL in ms · 4 index of the first piece · 5 last pieces (JSON\n--       array) · 6 end (JSON) · 7 wake-up channel · 8 how long the end stays readable, in ms\n-- Returns: 1 when this run ended here (also when it is repeated), 0 when the lease is lost.\nlocal run = redis.call('HMGET', KEYS[2], 'run', 'ended')\nif run[1] ~= ARGV[1] then\n  return 0\nend\nif run[2] then\n  return 1\nend\nif ARGV[2] ~= '' then\n  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])\nend\nif redis.call('HLEN', KEYS[2]) > 1 then\n  redis.call('XADD', KEYS[3], '*', 'run', ARGV[1], 'from', ARGV[4], 'pieces', ARGV[5], 'end', ARGV[6])\n  redis.call('PEXPIRE', KEYS[3], ARGV[8])\n  redis.call('PUBLISH', ARGV[7], ARGV[4])\nend\nredis.call('HSET', KEYS[2], 'ended', 1)\nredis.call('PEXPIRE', KEYS[2], ARGV[8])\nreturn 1\n",
}

export const endAttemptScript: Script = {
  name: 'end-attempt',
  sha: '2cb8f719db0a6b2055be4e0617325b0204db0e5f',
  keyCount: 6,
  source: "-- Ends an attempt at a task, if it is the one that runs. The task is over, or waits for another attempt.\n-- KEYS: 1 tasks · 2 index · 3 due · 4 executors · 5 idle · 6 results of its planner\n-- ARGV: 1 id · 2 attempt · 3 how: 'done', 'failed', 'lost': its executor does not work on it, 'undone': nobody ever had it, 'untaken': it\n--       waited for too long · 4 what is told of a task that is over by this (JSON) · 5 most attempts · 6 ms until somebody looks after it\n--       · 7 '1' where only who has a lease may say so · 8 results to keep, 0 without planner · 9 for how many ms\n-- Returns: the task's status, which this made | 'again': it ended so before | 'late': another one runs, or none | 'unknown'\nlocal id, attempt, how = ARGV[1], tonumber(ARGV[2]), ARGV[3]\nlocal text = redis.call('HGET', KEYS[1], 'state:' .. id)\nif not text then\n  return 'unknown'\nend\nlocal state = cjson.decode(text)\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal isOver = how == 'done' or how == 'failed'\nif isOver and state.attempt == attempt and (state.status == 'done' or state.status == 'failed') then\n  return 'again'\nend\nif state.attempt ~= attempt or state.status ~= (how == 'untaken' and 'waiting' or 'assigned') then\n  return 'late'\nend\nif (ARGV[7] == '1' and not state.lease) or (how == 'lost' and state.lease and state.lease > now) then\n  return 'late'\nend\n\nlocal place = state.number .. ' ' .. id\nredis.call('ZREM', KEYS[2], state.status .. ' ' .. place)\nif state.status == 'assigned' then\n  local executor = redis.call('HGET', KEYS[4], state.executor)\n  local settings = executor and cjson.decode(executor)\n  if settings and settings.task == id then\n    settings.task = nil\n    redis.call('HSET', KEYS[4], state.executor, cjson.encode(settings))\n    redis.call('ZADD', KEYS[5], now, state.executor)\n  end\nelse\n  for _, class in ipairs(state.offers) do\n    redis.call('ZREM', KEYS[2], class .. ' ' .. place)\n  end\nend\n\nstate.updated, state.lease = now, nil\nif how == 'undone' or (how == 'lost' and attempt < tonumber(ARGV[5])) then\n  state.status, state.executor = 'waiting', nil\n  if how == 'undone' then\n    state.attempt = attempt - 1\n  else\n    redis.call('HSET', KEYS[1], 'new:' .. id, attempt)\n  end\n  for _, class in ipairs(state.offers) do\n    redis.call('ZADD', KEYS[2], 0, class .. ' ' .. place)\n  end\nelse\n  state.status = how == 'done' and 'done' or 'failed'\n  redis.call('HSET', KEYS[1], 'end:' .. id, ARGV[4])\n  redis.call('ZADD', KEYS[2], 0, 'ended ' .. string.format('%015d', now) .. ' ' .. id)\n  if ARGV[8] ~= '0' then\n    redis.call('LPUSH', KEYS[6], ARGV[4])\n    redis.call('LTRIM', KEYS[6], 0, ARGV[8] - 1)\n    redis.call('PEXPIRE', KEYS[6], ARGV[9])\n  end\nend\nredis.call('ZADD', KEYS[2], 0, state.status .. ' ' .. place)\nredis.call('HSET', KEYS[1], 'state:' .. id, cjson.encode(state))\nredis.call('ZADD', KEYS[3], now + ARGV[6], id)\nreturn state.status\n",
}

export const enlistExecutorScript: Script = {
  name: 'enlist-executor',
  sha: '211d72256e9d7d9487deae440f2365e5e6e7c7f2',
  keyCount: 2,
  source: "-- Enlists an executor that tasks are given to when it is idle, or changes its topics.\n-- KEYS: 1 executors (hash: name → {topics, task} (JSON)) · 2 idle\n-- ARGV: 1 name · 2 topics (JSON array), or '' for any · 3 most executors\n-- Returns: 1, or 0 where there are as many as may be.\nlocal text = redis.call('HGET', KEYS[1], ARGV[1])\nif not text and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then\n  return 0\nend\nlocal settings = text and cjson.decode(text) or {}\nsettings.topics = ARGV[2] ~= '' and cjson.decode(ARGV[2]) or nil\nredis.call('HSET', KEYS[1], ARGV[1], cjson.encode(settings))\nif not settings.task then\n  local time = redis.call('TIME')\n  redis.call('ZADD', KEYS[2], 'NX', time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])\nend\nreturn 1\n",
}

export const failEntriesScript: Script = {
  name: 'fail-entries',
  sha: '1985bd83a0f9cf76de3d5dadc4f1ece92d469b3a',
  keyCount: 3,
  source: "-- Counts failed attempts: each entry waits for its next one, or goes to the dead letters. Who lost an entry to another consumer\n-- says nothing about it any more, so that a repeated call counts once.\n-- KEYS: 1 stream · 2 failures · 3 dead letters\n-- ARGV: 1 group · 2 consumer · 3 consumer who holds what waits · 4 idle ms at which what waits is due · 5 now (RFC 3339)\n--       then for each entry: id · ms to wait, -1 for the dead letters · cause\n-- Returns: number of entries that were still the consumer's.\nlocal count = 0\nfor i = 6, #ARGV, 3 do\n  local id, wait, cause = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]\n  if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2]) > 0 then\n    count = count + 1\n    local attempts = redis.call('HINCRBY', KEYS[2], id, 1)\n    if wait >= 0 then\n      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, id, 'IDLE', tonumber(ARGV[4]) - wait, 'JUSTID')\n    else\n      local entry = redis.call('XRANGE', KEYS[1], id, id)[1]\n      if entry then\n        local fields = entry[2]\n        local about = { 'dead:id', id, 'dead:group', ARGV[1], 'dead:cause', cause, 'dead:attempts', attempts, 'dead:at', ARGV[5] }\n        for _, value in ipairs(about) do\n          fields[#fields + 1] = value\n        end\n        redis.call('XADD', KEYS[3], '*', unpack(fields))\n      end\n      redis.call('XACK', KEYS[1], ARGV[1], id)\n      redis.call('HDEL', KEYS[2], id)\n    end\n  end\nend\nreturn count\n",
}

export const forgetMemoryScript: Script = {
  name: 'forget-memory',
  sha: 'aa8e3938c5cd866db0745743cf8f2cb73ff517a4',
  keyCount: 4,
  source: "-- Forgets a memory; its text may be remembered anew. May be repeated.\n-- KEYS: 1 memories · 2 hashes · 3 ids · 4 forgotten ids\n-- ARGV: 1 id · 2 field of its text · 3 time (Unix ms)\n-- Returns: 1, or 0 where there is none.\nif redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then\n  return 0\nend\nredis.call('HSETNX', KEYS[1], ARGV[1] .. ':forgotten', ARGV[3])\nif redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[1] then\n  redis.call('HDEL', KEYS[2], ARGV[2])\nend\nredis.call('ZREM', KEYS[3], ARGV[1])\nredis.call('ZADD', KEYS[4], 0, ARGV[1])\nreturn 1\n",
}

export const ingestScript: Script = {
  name: 'ingest',
  sha: '0038198b5550362d1b092ec0fbd4710acacf84f0',
  keyCount: 2,
  source: "-- Takes events into a stream: all of them, or none where too many wait. May be repeated for events that are told apart.\n-- KEYS: 1 stream · 2 seen (sorted set: result id → until when it is a duplicate, Unix ms)\n-- ARGV: 1 most events that may wait · 2 for how long an event is a duplicate, ms · 3 group of the stream's handler\n--       4 for how long events are kept where nobody works on them, ms; 0 where somebody does\n--       5 events of the whole batch · 6 name of a batch of several calls, or '' · 7 '1': the batch's first call\n--       8 one digit an event: + 1 where it is told apart from others, + 2 where it has a key\n--       then for each event: result id · event (JSON) · its key, where it has one\n-- Returns: {1, index of each duplicate, from 0 …} · {0, events that wait} where there is no room\n--          {-1} where the batch's first call has not let it in.\nlocal most, remember = tonumber(ARGV[1]), tonumber(ARGV[2])\nlocal own, kept, total, flags = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[8]\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal function id(ms, seq)\n  return string.format('%.0f-%.0f', ms, seq)\nend\n\n-- What is kept for readers alone goes when its time is over, but nothing that a group of theirs has still to read.\nlocal function trim(groups)\n  local keep_ms, keep_seq = now - kept, 0\n  for _, group in ipairs(groups) do\n    local from = group['last-delivered-id']\n    if group.pending > 0 then\n      from = redis.call('XPENDING', KEYS[1], group.name)[2]\n    end\n    local ms, seq = string.match(from, '^(%d+)-(%d+)$')\n    ms, seq = tonumber(ms), tonumber(seq)\n    if ms < keep_ms or (ms == keep_ms and seq < keep_seq) then\n      keep_ms, keep_seq = ms, seq\n    end\n  end\n  redis.call('XTRIM', KEYS[1], 'MINID', '~', id(keep_ms, keep_seq))\nend\n\n-- Groups that read the stream; the one of a handler that was taken away reads no more.\nlocal function readers()\n  local groups = {}\n  if redis.call('EXISTS', KEYS[1]) == 1 then\n    for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do\n      local group = {}\n      for i = 1, #info, 2 do\n        group[info[i]] = info[i + 1]\n      end\n      if kept == 0 or group.name ~= own then\n        groups[#groups + 1] = group\n      end\n    end\n  end\n  return groups\nend\n\nlocal function waiting(groups)\n  local length = redis.call('XLEN', KEYS[1])\n  local longest = #groups > 0 and 0 or length\n  for _, group in ipairs(groups) do\n    -- Redis does not know the lag after entries were deleted from the middle.\n    longest = math.max(longest, group.lag and group.lag + group.pending or length)\n  end\n  return longest\nend\n\n-- A full Redis refuses a script at its first write, if that one needs memory: so nothing is trimmed before events are added.\nlocal count = #flags\nlocal duplicate, fresh = {}, count\nlocal batch = ARGV[6]\n\n-- Where each event's arguments begin, and which of them are there already, also within the call.\nlocal at, asked, place = {}, {}, 9\nfor i = 1, count do\n  local flag = string.byte(flags, i) - 48\n  at[i] = place\n  place = place + (flag >= 2 and 3 or 2)\n  if remember > 0 and flag % 2 == 1 then\n    asked[#asked + 1] = i\n  end\nend\nlocal until_ms = now + remember\nlocal within = {}\nfor from = 1, #asked, 1000 do\n  local to = math.min(from + 999, #asked)\n  local ids = {}\n  for n = from, to do\n    ids[#ids + 1] = ARGV[at[asked[n]]]\n  end\n  local scores = redis.call('ZMSCORE', KEYS[2], unpack(ids))\n  for n = from, to do\n    local name = ids[n - from + 1]\n    local score = scores[n - from + 1]\n    if within[name] or (score and tonumber(score) > now) then\n      duplicate[asked[n]] = true\n      fresh = fresh - 1\n    end\n    within[name] = true\n  end\nend\n\nif batch ~= '' and ARGV[7] ~= '1' then\n  if not redis.call('ZSCORE', KEYS[2], batch) then\n    return { -1 }\n  end\nelseif fresh > 0 or batch ~= '' then\n  local groups = readers()\n  local length = waiting(groups)\n  if kept > 0 and length + fresh + total - count > most then\n    trim(groups)\n    length = waiting(groups)\n  end\n  if length + fresh + total - count > most then\n    return { 0, length }\n  end\nend\nif batch ~= '' and ARGV[7] == '1' then\n  redis.call('ZADD', KEYS[2], now + 60000, batch)\nend\n\nlocal reply, seen = { 1 }, {}\nfor i = 1, count do\n  if duplicate[i] then\n    reply[#reply + 1] = i - 1\n  else\n    local from = at[i]\n    local flag = string.byte(flags, i) - 48\n    if flag >= 2 then\n      redis.call('XADD', KEYS[1], '*', 'event', ARGV[from + 1], 'result', ARGV[from], 'key', ARGV[from + 2])\n    else\n      redis.call('XADD', KEYS[1], '*', 'event', ARGV[from + 1], 'result', ARGV[from])\n    end\n    if remember > 0 and flag % 2 == 1 then\n      seen[#seen + 1] = until_ms\n      seen[#seen + 1] = ARGV[from]\n      if #seen == 1000 then\n        redis.call('ZADD', KEYS[2], unpack(seen))\n        seen = {}\n      end\n    end\n  end\nend\nif #seen > 0 then\n  redis.call('ZADD', KEYS[2], unpack(seen))\nend\nif fresh > 0 then\n  redis.call('PUBLISH', KEYS[1], fresh) -- wakes those who follow the stream as a channel\nend\nif remember > 0 or batch ~= '' then\n  -- Amortised: a call forgets more than it adds.\n  local over = redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE', 'LIMIT', 0, 2 * count + 16)\n  for i = 1, #over, 1000 do\n    redis.call('ZREM', KEYS[2], unpack(over, i, math.min(i + 999, #over)))\n  end\nend\nif kept > 0 then\n  trim(readers())\nend\nlocal longest = math.max(remember, 60000)\nif redis.call('PTTL', KEYS[2]) < longest then\n  redis.call('PEXPIRE', KEYS[2], longest)\nend\nreturn reply\n",
}

export const journalStepScript: Script = {
  name: 'journal-step',
  sha: '903a142f751df2ca7993d728cbede726a8d071b1',
  keyCount: 2,
  source: "-- Renews the claim of a step, and writes down what it is about to do or what came of it.\n-- KEYS: 1 agent · 2 calls\n-- ARGV: 1 run id · 2 claim in ms · 3… fields and values, one after the other\n-- Returns: 1, or 0 where the run has lost its claim, or the agent is gone.\nif redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then\n  return 0\nend\nlocal time = redis.call('TIME')\nredis.call('HSET', KEYS[1], 'until', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]))\nif #ARGV > 2 then\n  redis.call('HSET', KEYS[2], unpack(ARGV, 3))\nend\nreturn 1\n",
}

export const keepEntriesScript: Script = {
  name: 'keep-entries',
  sha: '050aaa752c98cb604ebff1bcbce195e828ce2843',
  keyCount: 1,
  source: "-- Tells that a consumer still works on entries, so that nobody takes them over.\n-- KEYS: 1 stream\n-- ARGV: 1 group · 2 consumer · then the entries' ids\n-- Returns: ids of those that are the consumer's no longer.\nlocal lost = {}\nfor i = 3, #ARGV do\n  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) > 0 then\n    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')\n  else\n    lost[#lost + 1] = ARGV[i]\n  end\nend\nreturn lost\n",
}

export const keepJobsScript: Script = {
  name: 'keep-jobs',
  sha: '7190886b3b29c096ceccab0776ed6475a404d89c',
  keyCount: 2,
  source: "-- Tells that a worker still works on jobs, so that nobody takes them over.\n-- KEYS: 1 leased · 2 jobs\n-- ARGV: 1 lease in ms · then for each job: id · attempt\n-- Returns: number of jobs that are still the worker's.\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal count = 0\nfor i = 2, #ARGV, 2 do\n  if redis.call('HGET', KEYS[2], 'attempt:' .. ARGV[i]) == ARGV[i + 1] then\n    count = count + redis.call('ZADD', KEYS[1], 'XX', 'CH', now + ARGV[1], ARGV[i])\n  end\nend\nreturn count\n",
}

export const keepTaskScript: Script = {
  name: 'keep-task',
  sha: 'f5e78f31987e7727c971a346507fae205fb887e5',
  keyCount: 2,
  source: "-- Says when somebody looks after a task again, if it is still what its caller saw. Of an assigned one this renews a lease.\n-- KEYS: 1 tasks · 2 due\n-- ARGV: 1 id · 2 status · 3 attempt · 4 in how many ms, or '' for never\n-- Returns: when (Unix ms) | 'late': something else became of it | 'unknown'\nlocal text = redis.call('HGET', KEYS[1], 'state:' .. ARGV[1])\nif not text then\n  redis.call('ZREM', KEYS[2], ARGV[1])\n  return 'unknown'\nend\nlocal state = cjson.decode(text)\nif state.status ~= ARGV[2] or state.attempt ~= tonumber(ARGV[3]) then\n  return 'late'\nend\nif ARGV[4] == '' then\n  redis.call('ZREM', KEYS[2], ARGV[1])\n  return 0\nend\nlocal time = redis.call('TIME')\nlocal at = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4]\nif state.status == 'assigned' then\n  if not state.lease then\n    return 'late'\n  end\n  state.lease = at\n  redis.call('HSET', KEYS[1], 'state:' .. ARGV[1], cjson.encode(state))\nend\nredis.call('ZADD', KEYS[2], at, ARGV[1])\nreturn at\n",
}

export const keepThreadScript: Script = {
  name: 'keep-thread',
  sha: 'd5bd1f034161252f8ec15bd23ef14095b0f283df',
  keyCount: 1,
  source: "-- Lists a LangGraph thread among those of its tenant until it expires, and forgets some that have expired.\n-- KEYS: 1 threads (sorted set: id → when it is forgotten, Unix ms)\n-- ARGV: 1 thread id · 2 for how long it is kept at least, in ms · 3 '1' where it was only read, which lists no thread that is not\n-- Returns: nothing.\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal known = redis.call('ZSCORE', KEYS[1], ARGV[1])\nif ARGV[3] ~= '1' or (known and tonumber(known) > now) then\n  redis.call('ZADD', KEYS[1], 'GT', now + ARGV[2], ARGV[1])\nend\nlocal expired = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)\nif #expired > 0 then\n  redis.call('ZREM', KEYS[1], unpack(expired))\nend\n",
}

export const labelPromptScript: Script = {
  name: 'label-prompt',
  sha: 'f09adc95851cec18b461ec0209d294dad76cc1a7',
  keyCount: 1,
  source: "-- Points a label of a prompt to a version, or removes the label.\n-- KEYS: 1 prompt (hash: first and last version, labels (JSON), v:<version> (JSON))\n-- ARGV: 1 label · 2 version, or '' to remove the label · 3 most labels\n-- Returns: 'ok' | 'prompt', 'version' or 'label': there is none | 'labels': there are as many as may be\nlocal known = redis.call('HMGET', KEYS[1], 'first', 'labels', 'v:' .. ARGV[2])\nif not known[1] then\n  return 'prompt'\nend\nlocal labels = cjson.decode(known[2])\nif ARGV[2] == '' then\n  if not labels[ARGV[1]] then\n    return 'label'\n  end\n  labels[ARGV[1]] = nil\nelse\n  if not known[3] then\n    return 'version'\n  end\n  labels[ARGV[1]] = tonumber(ARGV[2])\n  local count = 0\n  for _ in pairs(labels) do\n    count = count + 1\n  end\n  if count > tonumber(ARGV[3]) then\n    return 'labels'\n  end\nend\nredis.call('HSET', KEYS[1], 'labels', cjson.encode(labels))\nreturn 'ok'\n",
}

export const labelRowsScript: Script = {
  name: 'label-rows',
  sha: 'a8e8de4faa8b0b0e561dcb8c7f3fbeca619ba2f9',
  keyCount: 1,
  source: "-- Gives rows of a dataset a label each, known from a time on; of the same time the later one counts. May be repeated.\n-- KEYS: 1 hash: row id → a line with its place in the stream, then a line for each of its labels (its time, Unix ms, space, JSON)\n-- ARGV: 1 most labels of a row, of which the newest stay\n--       then for each row: id · the label's time, Unix ms · label (JSON)\n-- Returns: indexes, from 0, of rows that are not there.\nlocal most = tonumber(ARGV[1])\nlocal missing = {}\nfor i = 2, #ARGV, 3 do\n  local id, at, label = ARGV[i], ARGV[i + 1], ARGV[i + 2]\n  local held = redis.call('HGET', KEYS[1], id)\n  if not held then\n    missing[#missing + 1] = (i - 2) / 3\n  else\n    local lines = {}\n    for line in string.gmatch(held, '[^\\n]+') do\n      lines[#lines + 1] = line\n    end\n    local time = tonumber(at)\n    local function time_of(line)\n      return tonumber(string.match(line, '^-?%d+'))\n    end\n    -- The first line is the place. Mostly the new label is the newest.\n    local n = #lines\n    while n > 1 and time_of(lines[n]) > time do\n      n = n - 1\n    end\n    if n > 1 and time_of(lines[n]) == time then\n      lines[n] = at .. ' ' .. label\n    else\n      table.insert(lines, n + 1, at .. ' ' .. label)\n    end\n    while #lines > most + 1 do\n      table.remove(lines, 2)\n    end\n    redis.call('HSET', KEYS[1], id, table.concat(lines, '\\n'))\n  end\nend\nreturn missing\n",
}

export const leadScript: Script = {
  name: 'lead',
  sha: 'f6b5a69509c2dd7c76072752cf3b03290d3365b5',
  keyCount: 3,
  source: "-- Decides who calls the provider: one leader a run, everybody else follows it.\n-- KEYS: 1 entry (string) · 2 run (hash: run, ended, w:<caller>) · 3 chunks (stream)\n-- ARGV: 1 caller id, becomes the run id of a leader · 2 lease in ms · 3 SHA-1 of an entry that is too old, or ''\n-- Returns: {'hit', entry} | {'lead'} | {'follow', run id}. Repeating it with the same caller id changes nothing.\nlocal entry = redis.call('GET', KEYS[1])\nif entry and (ARGV[3] == '' or redis.sha1hex(entry) ~= ARGV[3]) then\n  return { 'hit', entry }\nend\nlocal run = redis.call('HMGET', KEYS[2], 'run', 'ended')\nif run[1] and not run[2] then\n  if run[1] == ARGV[1] then\n    return { 'lead' }\n  end\n  redis.call('HSET', KEYS[2], 'w:' .. ARGV[1], 1)\n  return { 'follow', run[1] }\nend\n-- Only where there is something to delete: once a script has written, Redis refuses it no more memory.\nif redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then\n  redis.call('DEL', KEYS[2], KEYS[3])\nend\nredis.call('HSET', KEYS[2], 'run', ARGV[1])\nredis.call('PEXPIRE', KEYS[2], ARGV[2])\nreturn { 'lead' }\n",
}

export const leaseGroupScript: Script = {
  name: 'lease-group',
  sha: 'd28fbdbe160cebf3141efe75da540a213cce591e',
  keyCount: 1,
  source: "-- The right to be a group's only active consumer: taken, renewed, given back.\n-- KEYS: 1 lease\n-- ARGV: 1 consumer · 2 ms that it lasts, 0 to give it back, -1 in any case\n-- Returns: 1 when it is held (or was given back), 0 when another one holds it. Who gives it back\n-- with 0 gets 0, and keeps it, when somebody asked for it meanwhile: there may be new work.\nlocal holder = redis.call('HGET', KEYS[1], 'holder')\nif tonumber(ARGV[2]) <= 0 then\n  if holder ~= ARGV[1] then\n    return 1\n  end\n  if ARGV[2] == '0' and redis.call('HDEL', KEYS[1], 'asked') == 1 then\n    return 0\n  end\n  redis.call('DEL', KEYS[1])\n  return 1\nend\nif holder and holder ~= ARGV[1] then\n  redis.call('HSET', KEYS[1], 'asked', '1')\n  return 0\nend\nredis.call('HSET', KEYS[1], 'holder', ARGV[1])\nredis.call('PEXPIRE', KEYS[1], ARGV[2])\nreturn 1\n",
}

export const leaveGroupScript: Script = {
  name: 'leave-group',
  sha: '3927d2b52a1fe6f5ac96069ffe25bc35932375b1',
  keyCount: 1,
  source: "-- Takes a consumer out of its group. What it still holds can be claimed at once, and that delivery is not counted.\n-- KEYS: 1 stream\n-- ARGV: 1 group · 2 consumer · 3 consumer who holds what waits · 4 idle ms at which what waits is due\n-- Returns: number of entries that it held.\nlocal count = 0\nrepeat\n  local held = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000, ARGV[2])\n  for _, entry in ipairs(held) do\n    local again = math.max(0, entry[4] - 1)\n    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, entry[1], 'IDLE', ARGV[4], 'RETRYCOUNT', again, 'JUSTID')\n  end\n  count = count + #held\nuntil #held == 0\nredis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])\nreturn count\n",
}

export const leaveStepScript: Script = {
  name: 'leave-step',
  sha: '7f87ddac896cf61794f58a19870c3713a70f4de0',
  keyCount: 1,
  source: "-- Gives a claim back without a commit.\n-- KEYS: 1 agent\n-- ARGV: 1 run id · 2 1 where the step is to be taken up again, 0 where it never began\n-- Returns: 1, or 0 where the run has no claim.\nif redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then\n  return 0\nend\nredis.call('HDEL', KEYS[1], 'run', 'until')\nif ARGV[2] == '0' then\n  redis.call('HDEL', KEYS[1], 'open', 'print', 'attempts')\n  redis.call('HINCRBY', KEYS[1], 'steps', -1)\nend\nreturn 1\n",
}

export const loadCheckpointsScript: Script = {
  name: 'load-checkpoints',
  sha: '4ca410d64053fb12fc8cc7aaa3ddfe9833d22b9f',
  keyCount: 3,
  source: "-- Reads a checkpoint of a LangGraph thread, or the latest one of a namespace, and as many of its ancestors as are asked for.\n-- KEYS: 1 thread (sorted set: names of checkpoints) · 2 what comes before a checkpoint's name · 3 what comes before a value's name\n-- ARGV: 1 name of the checkpoint; '' for the latest one between · 2 the end and · 3 the start of a range by name\n--       4 how many · 5 for how long they are kept at least from now on, in ms; 0 where that stays as it is\n--       then the starts of the names of those values that are wanted; all are, where none is named\n-- Returns: for each, the newest first: {its name, fields and values of its hash, its values in the order of its field `values`}. One that has\n--          pending sends in its parent comes with it.\nlocal ttl = tonumber(ARGV[5])\nlocal function keep(key)\n  if ttl > 0 then\n    local left = redis.call('PTTL', key)\n    if left >= 0 and left < ttl then\n      redis.call('PEXPIRE', key, ttl)\n    end\n  end\nend\n\nlocal function wanted(name)\n  for i = 6, #ARGV do\n    if string.sub(name, 1, #ARGV[i]) == ARGV[i] then\n      return true\n    end\n  end\n  return #ARGV < 6\nend\n\n-- Its hash, and that as a table; nothing where it expired or where so far it has writes alone.\nlocal function read(name)\n  local flat = redis.call('HGETALL', KEYS[2] .. name)\n  local fields = {}\n  for i = 1, #flat, 2 do\n    fields[flat[i]] = flat[i + 1]\n  end\n  return fields.checkpoint and flat, fields, #flat == 0\nend\n\nlocal name, flat, fields = ARGV[1], nil, nil\nif name ~= '' then\n  flat, fields = read(name)\nelse\n  local skipped, expired = 0, false\n  repeat\n    name = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[3], 'BYLEX', 'REV', 'LIMIT', skipped, 1)[1]\n    if not name then\n      return {}\n    end\n    flat, fields, expired = read(name)\n    if expired then\n      redis.call('ZREM', KEYS[1], name)\n    elseif not flat then\n      skipped = skipped + 1\n    end\n  until flat\nend\n\nlocal found, most = {}, tonumber(ARGV[4])\nwhile flat do\n  local values = {}\n  for i, value in ipairs(cjson.decode(fields.values)) do\n    local key = KEYS[3] .. value\n    values[i] = wanted(value) and redis.call('GET', key)\n    keep(key)\n  end\n  keep(KEYS[2] .. name)\n  found[#found + 1] = { name, flat, values }\n  if #found == 1 then\n    keep(KEYS[1])\n    if fields.sends then\n      most = math.max(most, 2)\n    end\n  end\n  name, flat = fields.parent, nil\n  if name and #found < most then\n    flat, fields = read(name)\n  end\nend\nreturn found\n",
}

export const moveScheduleScript: Script = {
  name: 'move-schedule',
  sha: '3d6f054d44ff5292b44f083b7b0e00d13135564f',
  keyCount: 2,
  source: "-- Says when a schedule is due: by its runner, as long as it is the runner's, or by whoever changed it. May be repeated by the latter.\n-- KEYS: 1 schedules:due (sorted set: which, by when in Unix ms) · 2 its runs (hash: which → `<planned> <run>`)\n-- ARGV: 1 which · 2 run that must have it, or '' for whoever · 3 when (Unix ms), '' for never, `+<ms>` to keep it for so long\n--       4 '1': what was planned is still to be done\n-- Returns: 1 when it was done · 0: the run has it no longer.\nlocal planned, run = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', '^(%d+) (.*)$')\nif ARGV[2] ~= '' and run ~= ARGV[2] then\n  return 0\nend\nlocal kept = string.match(ARGV[3], '^%+(%d+)$')\nif kept then\n  local time = redis.call('TIME')\n  redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + kept, ARGV[1])\n  return 1\nend\nif ARGV[4] == '1' and planned then\n  redis.call('HSET', KEYS[2], ARGV[1], planned .. ' ')\nelse\n  redis.call('HDEL', KEYS[2], ARGV[1])\nend\nif ARGV[3] == '' then\n  redis.call('ZREM', KEYS[1], ARGV[1])\nelse\n  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])\nend\nreturn 1\n",
}

export const observeAlertScript: Script = {
  name: 'observe-alert',
  sha: 'cc3692320005094e6db7c4427730a7de12a371c9',
  keyCount: 3,
  source: "-- Lets a rule see what came, and says whether it fires. May be repeated: nothing counts twice, and what was not sent is returned again.\n-- KEYS: 1 rules (hash) · 2 state of the rule (hash) · 3 latest of what it counts (sorted set)\n-- ARGV: 1 name of the rule · 2 kind: fire, rate or absence · 3 now (Unix ms) · 4 cooldown (ms) · 5 count · 6 window (ms) · 7 alert (JSON without id) of those that have none; then of each: id · Unix ms · alert (JSON without id) or ''\n-- Returns: alerts to send.\nif redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then\n  return {}\nend\nlocal now, cooldown = tonumber(ARGV[3]), tonumber(ARGV[4])\nlocal count, window = tonumber(ARGV[5]), tonumber(ARGV[6])\nlocal firing = {}\n\nlocal function fire(id, about)\n  local alert = '{\"id\":\"' .. id .. '\",' .. string.sub(about ~= '' and about or ARGV[7], 2)\n  local pending = 'pending:' .. id\n  local known = redis.call('HMGET', KEYS[2], 'fired_at', 'fired_id', pending)\n  if known[3] then\n    table.insert(firing, (string.gsub(known[3], '^%d+ ', '')))\n  elseif known[2] ~= id and (not known[1] or now >= tonumber(known[1]) + cooldown) then\n    redis.call('HSET', KEYS[2], 'fired_at', ARGV[3], 'fired_id', id, pending, ARGV[3] .. ' ' .. alert)\n    table.insert(firing, alert)\n  end\nend\n\nlocal function counted(id, at)\n  local isNew = redis.call('ZADD', KEYS[3], 'NX', at, id) == 1\n  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -count - 1)\n  if not isNew then\n    return redis.call('HGET', KEYS[2], 'fired_id') == id\n  end\n  -- One that was counted long ago, and comes again, has gone at once.\n  if redis.call('ZCARD', KEYS[3]) < count or not redis.call('ZSCORE', KEYS[3], id) then\n    return false\n  end\n  local oldest = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]\n  local newest = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')[2]\n  return tonumber(newest) - tonumber(oldest) < window\nend\n\nfor i = 8, #ARGV, 3 do\n  local id, at, alert = ARGV[i], ARGV[i + 1], ARGV[i + 2]\n  if ARGV[2] == 'absence' then\n    local seen = redis.call('HGET', KEYS[2], 'seen')\n    if not seen or tonumber(at) > tonumber(seen) then\n      redis.call('HSET', KEYS[2], 'seen', at)\n    end\n  elseif ARGV[2] == 'fire' or counted(id, at) then\n    fire(id, alert)\n  end\nend\nif ARGV[2] == 'rate' then\n  redis.call('PEXPIRE', KEYS[3], window + 86400000)\nend\nreturn firing\n",
}

export const presenceScript: Script = {
  name: 'presence',
  sha: '5ac321e4253e7dcf503f673381f4d4d23b054fea',
  keyCount: 3,
  source: "-- Connections that are there, or that left, and those that were not heard of; tells the channel who came and who went.\n-- KEYS: 1 connections (sorted set by when they were last seen, Unix ms) · 2 names (hash: how many connections) · 3 stream\n-- ARGV: 1 `see` or `leave` · 2 channel · 3 ms without a sign after which a connection is gone · 4 messages that the stream keeps · 5 how long, in ms · 6… connections, as `<id>/<name>`\n-- Returns: number of names that are there.\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\n\nlocal function tell(event, name)\n  local data = '{\"event\":\"' .. event .. '\",\"as\":\"' .. name .. '\"}'\n  local id = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'data', data, 'type', 'presence')\n  redis.call('PEXPIRE', KEYS[3], ARGV[5])\n  redis.call('PUBLISH', ARGV[2], '{\"id\":\"' .. id .. '\",\"type\":\"presence\",\"data\":' .. data .. '}')\nend\n\nlocal function nameOf(connection)\n  return string.match(connection, '/(.*)$')\nend\n\nlocal function leave(connection)\n  if redis.call('ZREM', KEYS[1], connection) == 1 then\n    local name = nameOf(connection)\n    if redis.call('HINCRBY', KEYS[2], name, -1) <= 0 then\n      redis.call('HDEL', KEYS[2], name)\n      tell('leave', name)\n    end\n  end\nend\n\nfor i = 6, #ARGV do\n  if ARGV[1] == 'leave' then\n    leave(ARGV[i])\n  elseif redis.call('ZADD', KEYS[1], now, ARGV[i]) == 1 then\n    local name = nameOf(ARGV[i])\n    if redis.call('HINCRBY', KEYS[2], name, 1) == 1 then\n      tell('join', name)\n    end\n  end\nend\n-- After those that were seen: a sign that comes late is one.\nfor _, connection in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3], 'LIMIT', 0, 1000)) do\n  leave(connection)\nend\nredis.call('PEXPIRE', KEYS[1], ARGV[5])\nredis.call('PEXPIRE', KEYS[2], ARGV[5])\nreturn redis.call('HLEN', KEYS[2])\n",
}

export const pruneTasksScript: Script = {
  name: 'prune-tasks',
  sha: 'dd7c02611203d522bfb10f920137308acbb52486',
  keyCount: 3,
  source: "-- Forgets tasks that have been over for long, and the oldest where there are many.\n-- KEYS: 1 tasks · 2 index · 3 due\n-- ARGV: 1 most that are kept · 2 for how many ms · 3 most to forget now\n-- Returns: how many it forgot.\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal surplus = redis.call('ZLEXCOUNT', KEYS[2], '[ended ', '(ended!') - ARGV[1]\nlocal forgotten = 0\nfor _, member in ipairs(redis.call('ZRANGE', KEYS[2], '[ended ', '(ended!', 'BYLEX', 'LIMIT', 0, ARGV[3])) do\n  local ended, id = string.match(member, '^ended (%d+) (.*)$')\n  if forgotten >= surplus and tonumber(ended) > now - ARGV[2] then\n    break\n  end\n  local state = cjson.decode(redis.call('HGET', KEYS[1], 'state:' .. id))\n  redis.call('ZREM', KEYS[2], member, state.status .. ' ' .. state.number .. ' ' .. id)\n  redis.call('HDEL', KEYS[1], 'body:' .. id, 'state:' .. id, 'end:' .. id, 'new:' .. id)\n  redis.call('ZREM', KEYS[3], id)\n  forgotten = forgotten + 1\nend\nreturn forgotten\n",
}

export const publishMessageScript: Script = {
  name: 'publish-message',
  sha: 'f27c721098b250a505b674da6ef36d89c08e3e4c',
  keyCount: 2,
  source: "-- Adds a message to the stream behind a channel and tells those who listen.\n-- KEYS: 1 stream · 2 what was sent under this operation id\n-- ARGV: 1 channel · 2 data (JSON) · 3 type, or '' · 4 messages that are kept · 5 how long, in ms · 6 hash of the message where it has an operation id, else ''\n-- Returns: {id of the message, hash that the operation id was first sent with}\nif ARGV[6] ~= '' then\n  local sent = redis.call('GET', KEYS[2])\n  if sent then\n    local id, hash = string.match(sent, '^(%S+) (%S+)$')\n    return { id, hash }\n  end\nend\nlocal fields = { 'data', ARGV[2] }\nlocal head = ''\nif ARGV[3] ~= '' then\n  fields[3], fields[4] = 'type', ARGV[3]\n  head = '\"type\":\"' .. ARGV[3] .. '\",'\nend\nlocal id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', unpack(fields))\nlocal ms = tonumber(string.match(id, '^%d+'))\nredis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', math.max(0, ms - ARGV[5])))\nredis.call('PEXPIRE', KEYS[1], ARGV[5])\nif ARGV[6] ~= '' then\n  redis.call('SET', KEYS[2], id .. ' ' .. ARGV[6], 'PX', ARGV[5])\nend\nredis.call('PUBLISH', ARGV[1], '{\"id\":\"' .. id .. '\",' .. head .. '\"data\":' .. ARGV[2] .. '}')\nreturn { id, ARGV[6] }\n",
}

export const purgeMemoryScript: Script = {
  name: 'purge-memory',
  sha: 'c6202042f43221f739affb79412653842c17af33',
  keyCount: 3,
  source: "-- Removes a memory that was forgotten by then, for good.\n-- KEYS: 1 memories · 2 hashes · 3 forgotten ids\n-- ARGV: 1 id · 2 field of its operation · 3 forgotten by then (Unix ms)\n-- Returns: 1, or 0 where it was brought back, forgotten later, or removed already.\nlocal forgotten = redis.call('HGET', KEYS[1], ARGV[1] .. ':forgotten')\nif not forgotten or tonumber(forgotten) > tonumber(ARGV[3]) then\n  return 0\nend\nredis.call('HDEL', KEYS[1], ARGV[1], ARGV[1] .. ':forgotten')\nif redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[1] then\n  redis.call('HDEL', KEYS[2], ARGV[2])\nend\nredis.call('ZREM', KEYS[3], ARGV[1])\nreturn 1\n",
}

export const pushJobsScript: Script = {
  name: 'push-jobs',
  sha: '38970ffa921a7ef815b0c78e55d488a8d2cdfc13',
  keyCount: 2,
  source: "-- Puts jobs into a queue and wakes who works on it. A job whose id the queue still holds is there already.\n-- KEYS: 1 waiting · 2 jobs\n-- ARGV: 1 channel to wake by · 2 message · then for each job: id · body (JSON)\n-- Returns: for each job 1 when it is new, else 0.\nlocal added, any = {}, false\nfor i = 3, #ARGV, 2 do\n  local new = redis.call('HSETNX', KEYS[2], 'body:' .. ARGV[i], ARGV[i + 1])\n  if new == 1 then\n    redis.call('RPUSH', KEYS[1], ARGV[i])\n    any = true\n  end\n  added[#added + 1] = new\nend\nif any then\n  redis.call('PUBLISH', ARGV[1], ARGV[2])\nend\nreturn added\n",
}

export const pushWindowScript: Script = {
  name: 'push-window',
  sha: '4cdfb71b8ecc3c3b4fde75c4ae2003867f5e94b1',
  keyCount: 1,
  source: "-- Adds values to a window, each id once, and tells what the window was at each of them. May be repeated.\n-- KEYS: 1 window (sorted set: numbers and id, joined by spaces; by place)\n-- ARGV: 1 how many values a window has · 2 how many are kept, for ids that come again · 3 for how many ms after this\n--       then for each: its place in the order that values came in · numbers and id\n-- Returns: for each, the latest values up to it, oldest first: numbers and id, all joined by spaces\nlocal length, kept = tonumber(ARGV[1]), tonumber(ARGV[2])\nlocal windows = {}\nfor i = 5, #ARGV, 2 do\n  redis.call('ZADD', KEYS[1], 'NX', ARGV[i - 1], ARGV[i])\n  local window = redis.call('ZRANGE', KEYS[1], -length, -1)\n  if window[#window] ~= ARGV[i] then -- something that came after it is there already\n    local rank = redis.call('ZRANK', KEYS[1], ARGV[i])\n    window = redis.call('ZRANGE', KEYS[1], math.max(0, rank - length + 1), rank)\n  end\n  windows[#windows + 1] = table.concat(window, ' ')\nend\nredis.call('ZREMRANGEBYRANK', KEYS[1], 0, -kept - 1)\nredis.call('PEXPIRE', KEYS[1], ARGV[3])\nreturn windows\n",
}

export const putAgentScript: Script = {
  name: 'put-agent',
  sha: 'cafa4aae62e50c3b467ad63bf135eda6e754e5a1',
  keyCount: 1,
  source: "-- Makes an agent, or gives it other settings. One that was deleted begins anew.\n-- KEYS: 1 agent\n-- ARGV: 1 settings (JSON) · 2 id of this incarnation, if it is a new one · 3 id of the key that it acts by, or '' · 4 time (RFC 3339)\n-- Returns: {its fields and values, one after the other}.\nlocal known = redis.call('HMGET', KEYS[1], 'made', 'deleted')\nif known[2] then\n  redis.call('DEL', KEYS[1])\nend\nif not known[1] or known[2] then\n  redis.call('HSET', KEYS[1], 'made', ARGV[2], 'created_at', ARGV[4], 'status', 'idle', 'steps', 0, 'state', '{}')\n  redis.call('PERSIST', KEYS[1])\nend\nredis.call('HSET', KEYS[1], 'settings', ARGV[1], 'key_id', ARGV[3], 'updated_at', ARGV[4], 'listed', 0)\nredis.call('HINCRBY', KEYS[1], 'version', 1)\nreturn redis.call('HGETALL', KEYS[1])\n",
}

export const putCheckpointScript: Script = {
  name: 'put-checkpoint',
  sha: '1c0459eeeb9d3dd5f747f7e2ca639de1fd5e4d77',
  keyCount: 3,
  source: "-- Stores a checkpoint of a LangGraph thread and those channel values that it changed. May be repeated.\n-- KEYS: 1 thread (sorted set: names of checkpoints) · 2 what comes before a checkpoint's name · 3 what comes before a value's name\n-- ARGV: 1 its name · 2 for how long it is kept at least, in ms; 0 for ever · 3 checkpoint · 4 metadata · 5 names of its values (JSON)\n--       6 name of its parent, or '' · 7 '1' where pending sends are its parent's · then for each new value: its name · the value\n-- Returns: names of values that it needs and that expired meanwhile.\nlocal ttl = tonumber(ARGV[2])\n\n-- Nothing's life is shortened: other checkpoints may need it for longer.\nlocal function keep(key, left)\n  if ttl == 0 then\n    redis.call('PERSIST', key)\n  elseif left ~= -1 and left < ttl then\n    redis.call('PEXPIRE', key, ttl)\n  end\nend\n\nlocal key = KEYS[2] .. ARGV[1]\nlocal left, thread_left = redis.call('PTTL', key), redis.call('PTTL', KEYS[1])\nfor i = 8, #ARGV, 2 do\n  if ttl == 0 then\n    redis.call('SET', KEYS[3] .. ARGV[i], ARGV[i + 1])\n  else\n    redis.call('SET', KEYS[3] .. ARGV[i], ARGV[i + 1], 'PX', ttl)\n  end\nend\nredis.call('HSET', key, 'checkpoint', ARGV[3], 'metadata', ARGV[4], 'values', ARGV[5])\nif ARGV[6] ~= '' then\n  redis.call('HSET', key, 'parent', ARGV[6])\nend\nif ARGV[7] == '1' then\n  redis.call('HSET', key, 'sends', '1')\nend\nredis.call('ZADD', KEYS[1], 0, ARGV[1])\nkeep(key, left)\nkeep(KEYS[1], thread_left)\nlocal expired = {}\nfor _, name in ipairs(cjson.decode(ARGV[5])) do\n  local value = KEYS[3] .. name\n  local value_left = redis.call('PTTL', value)\n  if value_left ~= -2 then\n    keep(value, value_left)\n  elseif ttl > 0 then\n    expired[#expired + 1] = name\n  end\nend\nif ttl > 0 then\n  -- Amortised: each call adds a name, and forgets more of them than that where most have expired.\n  for _, name in ipairs(redis.call('ZRANDMEMBER', KEYS[1], 3)) do\n    if redis.call('EXISTS', KEYS[2] .. name) == 0 then\n      redis.call('ZREM', KEYS[1], name)\n    end\n  end\nend\nreturn expired\n",
}

export const putFeaturesScript: Script = {
  name: 'put-features',
  sha: '05e8873f74809d201e94b2716f1f14b4619dba91',
  keyCount: 1,
  source: "-- Writes features of an entity, each one where nothing newer of it is known. May be repeated.\n-- KEYS: 1 entity (hash: feature → event time (Unix ms), space, value (JSON); '@' → epoch of its view)\n-- ARGV: 1 epoch of the view · 2 event time, Unix ms · 3 for how many ms the entity is kept after this, 0: for good\n--       then for each feature: name · value (JSON)\n-- Returns: indexes, from 0, of features of which something newer is known | -1: the entity is of a later view.\nlocal epoch, at, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\nlocal names = { '@' }\nfor i = 4, #ARGV, 2 do\n  names[#names + 1] = ARGV[i]\nend\nlocal held = redis.call('HMGET', KEYS[1], unpack(names))\nlocal held_epoch = tonumber(held[1] or epoch)\nif held_epoch > epoch then\n  return -1\nend\nlocal is_other = held_epoch < epoch\nif is_other then\n  redis.call('UNLINK', KEYS[1]) -- a deleted view of that name left it\nend\nlocal older, set = {}, { '@', ARGV[1] }\nfor i = 2, #names do\n  local time = not is_other and held[i] and tonumber(string.match(held[i], '^-?%d+'))\n  if time and time > at then\n    older[#older + 1] = i - 2\n  else\n    set[#set + 1] = names[i]\n    set[#set + 1] = ARGV[2] .. ' ' .. ARGV[2 * i + 1]\n  end\nend\nif #set > 2 then\n  redis.call('HSET', KEYS[1], unpack(set))\n  if kept > 0 then\n    redis.call('PEXPIRE', KEYS[1], kept)\n  else\n    redis.call('PERSIST', KEYS[1])\n  end\nend\nreturn older\n",
}

export const putKnowledgeScript: Script = {
  name: 'put-knowledge',
  sha: 'e378148b27a4c377c35f8cbb6deec1dc1b1e9e11',
  keyCount: 3,
  source: "-- Writes facts of a topic, all of them or none. The version of a field never comes twice, though it was removed meanwhile.\n-- KEYS: 1 facts (hash: field → JSON that begins with its version) · 2 changes (hash: count, floor, see below) · 3 what this operation came to\n-- ARGV: 1 rest of each fact: ,\"by\":…,\"at\":…, · 2 most fields · 3 hash of the operation, or '' without an id · 4 how long it is known, in ms\n--       · 5 how long the count of an empty topic is kept, in ms · 6 number of conditions, then field and version of each (0: it is not there),\n--       then field and value (JSON, or '' to remove it) of each fact\n-- Returns: {'ok', number of the change, the facts' rest, then for each fact its version, 0 where it was removed}\n--          | {'conflict', field, its version} | {'full'} | {'mismatch'}: the operation was another one\nif ARGV[3] ~= '' then\n  local known = redis.call('GET', KEYS[3])\n  if known then\n    local reply = cjson.decode(known)\n    return reply[1] == ARGV[3] and reply[2] or { 'mismatch' }\n  end\nend\nlocal function versionOf(field)\n  local fact = redis.call('HGET', KEYS[1], field)\n  return fact and tonumber(string.match(fact, '^{\"version\":(%d+)')) or 0\nend\nlocal first = 7 + 2 * ARGV[6]\nfor i = 7, first - 1, 2 do\n  local version = versionOf(ARGV[i])\n  if version ~= tonumber(ARGV[i + 1]) then\n    return { 'conflict', ARGV[i], version }\n  end\nend\nlocal versions, fields = {}, redis.call('HLEN', KEYS[1])\nfor i = first, #ARGV, 2 do\n  local version = versionOf(ARGV[i])\n  versions[i] = version\n  fields = fields + (version == 0 and 1 or 0) - (ARGV[i + 1] == '' and 1 or 0)\nend\nif fields > tonumber(ARGV[2]) then\n  return { 'full' }\nend\n-- No version exceeds the number of changes, so that a new field which begins above it begins above all that it ever had.\nlocal floor = tonumber(redis.call('HGET', KEYS[2], 'floor') or 0)\nlocal count = redis.call('HINCRBY', KEYS[2], 'count', 1)\nlocal reply = { 'ok', count, ARGV[1] }\nfor i = first, #ARGV, 2 do\n  if ARGV[i + 1] == '' then\n    if versions[i] > 0 then\n      redis.call('HDEL', KEYS[1], ARGV[i])\n      redis.call('HSET', KEYS[2], 'floor', count)\n    end\n    reply[#reply + 1] = 0\n  else\n    local version = (versions[i] > 0 and versions[i] or floor) + 1\n    redis.call('HSET', KEYS[1], ARGV[i], '{\"version\":' .. version .. ARGV[1] .. '\"value\":' .. ARGV[i + 1] .. '}')\n    reply[#reply + 1] = version\n  end\nend\nif redis.call('EXISTS', KEYS[1]) == 1 then\n  redis.call('PERSIST', KEYS[2])\nelse\n  redis.call('PEXPIRE', KEYS[2], ARGV[5])\nend\nif ARGV[3] ~= '' then\n  redis.call('SET', KEYS[3], cjson.encode({ ARGV[3], reply }), 'PX', ARGV[4])\nend\nreturn reply\n",
}

export const putModelPartScript: Script = {
  name: 'put-model-part',
  sha: '66d42a4e46bc5cb0d49a0c47c20f270b170dac46',
  keyCount: 2,
  source: "-- Stores a part of a model's bytes. Those of an upload that never ends expire; those of a version that is there do not.\n-- KEYS: 1 model (hash) · 2 its bytes (hash)\n-- ARGV: 1 SHA-256 of all bytes · 2 number of the part · 3 the part (base64) · 4 seconds to live\n-- Returns: 1\nredis.call('HSET', KEYS[2], ARGV[2], ARGV[3])\nif redis.call('HGET', KEYS[1], 'sha256') ~= ARGV[1] then\n  redis.call('EXPIRE', KEYS[2], ARGV[4])\nend\nreturn 1\n",
}

export const putPromptScript: Script = {
  name: 'put-prompt',
  sha: '8aa47881b573e398270e20489d237cdbd1b8e22a',
  keyCount: 1,
  source: "-- Adds a version to a prompt and points labels to it. A version never changes, and its number is never given again.\n-- KEYS: 1 prompt (hash: first and last version, labels (JSON), v:<version> (JSON), once:<operation>)\n-- ARGV: 1 template (JSON) · 2 labels (JSON array) · 3 most versions · 4 most labels · 5 operation id, or '' · 6 hash of the\n--       request\n-- Returns: {'ok', version, template, labels} | {'versions'} or {'labels'}: there are as many as may be | {'mismatch'}:\n--          the operation had another request. Repeating an operation returns its first version.\nlocal once = 'once:' .. ARGV[5]\nlocal known = redis.call('HMGET', KEYS[1], 'first', 'last', 'labels', once)\nlocal labels = cjson.decode(known[3] or '{}')\nif known[4] then\n  local version, hash = string.match(known[4], '^(%d+) (.*)$')\n  if hash ~= ARGV[6] then\n    return { 'mismatch' }\n  end\n  return { 'ok', tonumber(version), redis.call('HGET', KEYS[1], 'v:' .. version), cjson.encode(labels) }\nend\nlocal version = (tonumber(known[2]) or 0) + 1\nlocal first = tonumber(known[1]) or version\nif version - first >= tonumber(ARGV[3]) then\n  return { 'versions' }\nend\nfor _, label in ipairs(cjson.decode(ARGV[2])) do\n  labels[label] = version\nend\nlocal count = 0\nfor _ in pairs(labels) do\n  count = count + 1\nend\nif count > tonumber(ARGV[4]) then\n  return { 'labels' }\nend\nlocal text = cjson.encode(labels)\nredis.call('HSET', KEYS[1], 'first', first, 'last', version, 'labels', text, 'v:' .. version, ARGV[1])\nif ARGV[5] ~= '' then\n  redis.call('HSET', KEYS[1], once, version .. ' ' .. ARGV[6])\nend\nreturn { 'ok', version, ARGV[1], text }\n",
}

export const putWritesScript: Script = {
  name: 'put-writes',
  sha: 'f5540df06cfed22304dd7e151b668194f80dd5a0',
  keyCount: 3,
  source: "-- Stores what a task wrote after a checkpoint, whole or not at all, also before the checkpoint itself is there. May be repeated.\n-- KEYS: 1 thread (sorted set: names of checkpoints) · 2 the checkpoint (hash) · 3 what comes before a value's name\n-- ARGV: 1 its name · 2 for how long it is kept at least, in ms; 0 for ever\n--       then for each write: its field · its value · '1' where it replaces an earlier one, else that one stays\n-- Returns: nothing.\nlocal ttl = tonumber(ARGV[2])\nlocal keys = { KEYS[1], KEYS[2] }\nlocal values = redis.call('HGET', KEYS[2], 'values')\nfor _, name in ipairs(values and cjson.decode(values) or {}) do\n  keys[#keys + 1] = KEYS[3] .. name\nend\nlocal left = {}\nfor i, key in ipairs(keys) do\n  left[i] = redis.call('PTTL', key)\nend\nfor i = 3, #ARGV, 3 do\n  redis.call(ARGV[i + 2] == '1' and 'HSET' or 'HSETNX', KEYS[2], ARGV[i], ARGV[i + 1])\nend\nredis.call('ZADD', KEYS[1], 0, ARGV[1])\nfor i, key in ipairs(keys) do\n  if ttl == 0 then\n    redis.call('PERSIST', key)\n  elseif left[i] ~= -1 and left[i] < ttl then\n    redis.call('PEXPIRE', key, ttl)\n  end\nend\n",
}

export const readRowsScript: Script = {
  name: 'read-rows',
  sha: 'efabbf6ed1b3b4478233238fdc5c3f65b9c825d2',
  keyCount: 2,
  source: "-- Reads a page of a dataset's rows with their labels.\n-- KEYS: 1 rows (stream) · 2 hash: row id → a line with its place in the stream, then a line for each of its labels (its time, Unix ms,\n--       space, JSON)\n-- ARGV: 1 place to read from, as XRANGE takes it · 2 place to read to · 3 least time of a row, Unix ms · 4 the time before which it is\n--       5 most rows to look at · 6 most bytes to reply, beyond which one row may go\n-- Returns: {the last place that was looked at, or '' where there are no more, then for each row: row (JSON) · its labels, a line each}\nlocal from, to = ARGV[1], ARGV[2]\nlocal least, before = tonumber(ARGV[3]), tonumber(ARGV[4])\nlocal left, room = tonumber(ARGV[5]), tonumber(ARGV[6])\nlocal reply = { '' }\nwhile left > 0 and room > 0 do\n  local asked = math.min(left, 100)\n  local entries = redis.call('XRANGE', KEYS[1], from, to, 'COUNT', asked)\n  for _, entry in ipairs(entries) do\n    local fields = entry[2]\n    local at = tonumber(fields[4])\n    reply[1] = entry[1]\n    left = left - 1\n    if at >= least and at < before then\n      local held = redis.call('HGET', KEYS[2], fields[2]) or ''\n      reply[#reply + 1] = fields[6]\n      reply[#reply + 1] = string.match(held, '^[^\\n]*\\n(.*)$') or ''\n      room = room - #fields[6] - #reply[#reply]\n      if room <= 0 then\n        break\n      end\n    end\n  end\n  if #entries < asked and room > 0 then\n    reply[1] = ''\n  end\n  if #entries < asked then\n    break\n  end\n  from = '(' .. reply[1]\nend\nreturn reply\n",
}

export const recordResultsScript: Script = {
  name: 'record-results',
  sha: 'c1e0cad3ad458e0de4c4c6e26f4b7611a228743c',
  keyCount: 2,
  source: "-- Notes how items of a job went: each once, though it may be told again. A failure may become a success (it was replayed).\n-- KEYS: 1 job · 2 results\n-- ARGV: 1 seconds that both are kept · 2 now (Unix ms) · then for each item: its number · '' or its failure (JSON)\n-- Returns: how many items are over, or -1 when the job is forgotten.\nlocal SHOWN = 100\nlocal total = tonumber(redis.call('HGET', KEYS[1], 'total'))\nif not total then\n  return -1\nend\nfor i = 3, #ARGV, 2 do\n  local item, failure = ARGV[i], ARGV[i + 1]\n  local before = redis.call('HGET', KEYS[2], item)\n  local heals = before and before ~= '' and failure == ''\n  if heals then\n    redis.call('HINCRBY', KEYS[1], 'failed', -1)\n    redis.call('HDEL', KEYS[1], 'error:' .. item)\n  end\n  if not before or heals then\n    redis.call('HSET', KEYS[2], item, failure)\n    if failure == '' then\n      redis.call('HINCRBY', KEYS[1], 'done', 1)\n    elseif redis.call('HINCRBY', KEYS[1], 'failed', 1) <= SHOWN then\n      redis.call('HSET', KEYS[1], 'error:' .. item, failure)\n    end\n  end\nend\nlocal over = redis.call('HLEN', KEYS[2])\nif over >= total then\n  redis.call('HSETNX', KEYS[1], 'finished_at', ARGV[2])\nend\nredis.call('EXPIRE', KEYS[1], ARGV[1])\nredis.call('EXPIRE', KEYS[2], ARGV[1])\nreturn over\n",
}

export const releaseScript: Script = {
  name: 'release',
  sha: 'cbd4c6a6493225b2b5a537511cdd1850089d237a',
  keyCount: 2,
  source: "-- Gives a run up when nobody waits for its answer.\n-- KEYS: 1 run · 2 chunks\n-- ARGV: 1 run id\n-- Returns: number of waiting callers; 0 means that the run is given up (or was lost before).\nif redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then\n  return 0\nend\nlocal waiting = redis.call('HLEN', KEYS[1]) - 1\nif waiting == 0 then\n  redis.call('DEL', KEYS[1], KEYS[2])\nend\nreturn waiting\n",
}

export const removeModelScript: Script = {
  name: 'remove-model',
  sha: '43276e9db873fc336e74dbc8e7e86ab4454617a4',
  keyCount: 2,
  source: "-- Removes a version of a model and its bytes, unless it was uploaded again meanwhile.\n-- KEYS: 1 model (hash) · 2 its bytes (hash)\n-- ARGV: 1 id of the upload that is to go\n-- Returns: 1 where it is gone · 0 where it was uploaded again, or is not there.\nif redis.call('HGET', KEYS[1], 'upload') ~= ARGV[1] then\n  return 0\nend\nredis.call('UNLINK', KEYS[1], KEYS[2])\nreturn 1\n",
}

export const replaceFieldScript: Script = {
  name: 'replace-field',
  sha: '70460f8d7d65da093e6797f4703db7e8fdb124f2',
  keyCount: 1,
  source: "-- Sets a field of a hash where it still holds what its writer saw. May be repeated.\n-- KEYS: 1 hash\n-- ARGV: 1 field · 2 what it should hold, or '' for nothing · 3 what it shall hold, or '' for nothing\n-- Returns: 1 where it was set · 2 where it held that already · 0: it holds something else.\nlocal held = redis.call('HGET', KEYS[1], ARGV[1]) or ''\nif held == ARGV[3] then\n  return 2\nend\nif held ~= ARGV[2] then\n  return 0\nend\nif ARGV[3] == '' then\n  redis.call('HDEL', KEYS[1], ARGV[1])\nelse\n  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])\nend\nreturn 1\n",
}

export const replaceResultScript: Script = {
  name: 'replace-result',
  sha: '546dd340a84552ff227c90dab856ae4b2fe330cb',
  keyCount: 1,
  source: "-- Replaces the result of what failed by the result of a later attempt. One that was done is never replaced.\n-- KEYS: 1 result\n-- ARGV: 1 new result (JSON) · 2 seconds until it expires · 3 how the JSON of a failed result of the same event begins\n-- Returns: 1 when it was written, 0 when there is one that was done.\nlocal found = redis.call('GET', KEYS[1])\nif found and string.sub(found, 1, #ARGV[3]) ~= ARGV[3] then\n  return 0\nend\nredis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])\nreturn 1\n",
}

export const replayDeadScript: Script = {
  name: 'replay-dead',
  sha: '9e529ae5a758fcf4e80922f37d8f167e97515ef5',
  keyCount: 2,
  source: "-- Puts dead letters back into their stream as new entries.\n-- KEYS: 1 stream · 2 dead letters\n-- ARGV: ids of dead letters\n-- Returns: a list of {id of the dead letter, id of the new entry}; those that are gone are left out.\nlocal replayed = {}\nfor _, id in ipairs(ARGV) do\n  local letter = redis.call('XRANGE', KEYS[2], id, id)[1]\n  if letter then\n    local fields = {}\n    for i = 1, #letter[2], 2 do\n      if string.sub(letter[2][i], 1, 5) ~= 'dead:' then\n        fields[#fields + 1] = letter[2][i]\n        fields[#fields + 1] = letter[2][i + 1]\n      end\n    end\n    replayed[#replayed + 1] = { id, redis.call('XADD', KEYS[1], '*', unpack(fields)) }\n    redis.call('XDEL', KEYS[2], id)\n  end\nend\nreturn replayed\n",
}

export const replayJobsScript: Script = {
  name: 'replay-jobs',
  sha: '0f9e5b759a38b8562bf6972f763ed28d0966abb6',
  keyCount: 3,
  source: "-- Puts dead jobs back into their queue, to be tried anew.\n-- KEYS: 1 waiting · 2 jobs · 3 dead\n-- ARGV: 1 channel to wake by · 2 message · then ids\n-- Returns: ids of those that were dead.\nlocal replayed = {}\nfor i = 3, #ARGV do\n  if redis.call('HDEL', KEYS[2], 'dead:' .. ARGV[i]) == 1 then\n    redis.call('LREM', KEYS[3], 1, ARGV[i])\n    redis.call('RPUSH', KEYS[1], ARGV[i])\n    replayed[#replayed + 1] = ARGV[i]\n  end\nend\nif #replayed > 0 then\n  redis.call('PUBLISH', ARGV[1], ARGV[2])\nend\nreturn replayed\n",
}

export const reserveScript: Script = {
  name: 'reserve',
  sha: '72639df92aebd9cd149bda7b9b4f696b9753e718',
  keyCount: 3,
  source: "-- Holds money for a call, in every budget that it counts against, or in none.\n-- KEYS: 1 budget (hash: <who> spent, <who>:period, <who>:held) · 2 reservations (sorted set: '<id> <amount> <who>…' → expiry)\n--       3 settled (sorted set: ids): a reservation that was given up before it arrived holds nothing\n-- ARGV: 1 reservation id · 2 amount · 3 time to live in ms · then for each budget: who, limit, period (daily|monthly|total)\n-- Returns: {1} or {0, who, spent, held}. Amounts are whole billionths of a dollar. Time is the server's:\n--          a hub whose clock jumps changes nothing. Holds past their expiry are free again.\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal days = math.floor(time[1] / 86400)\n\nlocal function text(number)\n  return string.format('%.0f', number)\nend\n\n-- Civil month of a day number: Howard Hinnant, \"chrono-Compatible Low-Level Date Algorithms\".\nlocal function month()\n  local z = days + 719468\n  local era = math.floor(z / 146097)\n  local doe = z - era * 146097\n  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)\n  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))\n  local mp = math.floor((5 * doy + 2) / 153)\n  local m = mp < 10 and mp + 3 or mp - 9\n  return (yoe + era * 400 + (m <= 2 and 1 or 0)) * 12 + m\nend\n\nfor _, expired in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)) do\n  local part = 0\n  local amount\n  for word in string.gmatch(expired, '%S+') do\n    part = part + 1\n    if part == 2 then\n      amount = word\n    elseif part > 2 then\n      redis.call('HINCRBY', KEYS[1], word .. ':held', '-' .. amount)\n    end\n  end\n  redis.call('ZREM', KEYS[2], expired)\nend\n\nif redis.call('ZSCORE', KEYS[3], ARGV[1]) then\n  return { 0, ARGV[4], '0', '0' }\nend\n\nlocal amount = tonumber(ARGV[2])\nlocal reservation = ARGV[1] .. ' ' .. ARGV[2]\nfor i = 4, #ARGV, 3 do\n  local who, limit, period = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]\n  local current = period == 'daily' and 'd' .. days or period == 'monthly' and 'm' .. month() or 'total'\n  local state = redis.call('HMGET', KEYS[1], who, who .. ':period', who .. ':held')\n  local spent = tonumber(state[1] or 0)\n  if state[2] ~= current then\n    spent = 0\n    redis.call('HSET', KEYS[1], who, 0, who .. ':period', current)\n  end\n  local held = tonumber(state[3] or 0)\n  if spent + held + amount > limit then\n    return { 0, who, text(spent), text(held) }\n  end\n  reservation = reservation .. ' ' .. who\nend\nfor i = 4, #ARGV, 3 do\n  redis.call('HINCRBY', KEYS[1], ARGV[i] .. ':held', ARGV[2])\nend\nredis.call('ZADD', KEYS[2], now + ARGV[3], reservation)\nreturn { 1 }\n",
}

export const restoreMemoryScript: Script = {
  name: 'restore-memory',
  sha: '2916d92e750ecc1fa15dc013e09ce1a68cdba119',
  keyCount: 4,
  source: "-- Brings back a forgotten memory. One that was remembered with its text meanwhile keeps the text. May be repeated.\n-- KEYS: 1 memories · 2 hashes · 3 ids · 4 forgotten ids\n-- ARGV: 1 id · 2 field of its text\n-- Returns: 1, or 0 where there is none.\nif redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then\n  return 0\nend\nredis.call('HDEL', KEYS[1], ARGV[1] .. ':forgotten')\nredis.call('HSETNX', KEYS[2], ARGV[2], ARGV[1])\nredis.call('ZREM', KEYS[4], ARGV[1])\nredis.call('ZADD', KEYS[3], 0, ARGV[1])\nreturn 1\n",
}

export const retireDocumentScript: Script = {
  name: 'retire-document',
  sha: '3a5ac724bfb9ef63c2d901da1016458748486b3b',
  keyCount: 1,
  source: "-- What of a document can be removed: versions that were replaced, and a begun one that does not count, which from now on cannot.\n-- KEYS: 1 document\n-- ARGV: 1 when the index was made (Unix ms) · 2 the begun version, or 0 · 3 number of its chunks\n-- Returns: `<version>.<chunks> ` of each\nlocal held = redis.call('HMGET', KEYS[1], 'index', 'version', 'floor', 'old')\nlocal begun = ARGV[2] ~= '0' and (ARGV[2] .. '.' .. ARGV[3] .. ' ') or ''\nif held[1] ~= ARGV[1] then\n  return begun\nend\nlocal old = held[4] or ''\nif held[2] == ARGV[2] or string.find(' ' .. old, ' ' .. begun, 1, true) then\n  return old\nend\nif tonumber(ARGV[2]) > tonumber(held[3] or 0) then\n  redis.call('HSET', KEYS[1], 'floor', ARGV[2])\nend\nreturn old .. begun\n",
}

export const settleScript: Script = {
  name: 'settle',
  sha: 'c120c3c9fc4c64b8fa915b763ce9680a2fabbd5b',
  keyCount: 3,
  source: "-- Turns a reservation into what the call really cost. Also when it has expired: the money is spent.\n-- KEYS: 1 budget · 2 reservations · 3 settled (sorted set: reservation id → when to forget it)\n-- ARGV: 1 reservation · 2 actual cost · 3 how long to remember, in ms\n-- Returns: 1, or 0 when it was settled before.\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal words = {}\nfor word in string.gmatch(ARGV[1], '%S+') do\n  words[#words + 1] = word\nend\nif redis.call('ZSCORE', KEYS[3], words[1]) then\n  return 0\nend\nlocal held = redis.call('ZREM', KEYS[2], ARGV[1]) == 1\nfor i = 3, #words do\n  redis.call('HINCRBY', KEYS[1], words[i], ARGV[2])\n  if held then\n    redis.call('HINCRBY', KEYS[1], words[i] .. ':held', '-' .. words[2])\n  end\nend\nredis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)\nredis.call('ZADD', KEYS[3], now + ARGV[3], words[1])\nreturn 1\n",
}

export const settleDueScript: Script = {
  name: 'settle-due',
  sha: '074d326808d369df859205e78a00c0c3a974a282',
  keyCount: 1,
  source: "-- Says when something is due next; where somebody has said so meanwhile, not later than then.\n-- KEYS: 1 sorted set: what, by when it is due (Unix ms)\n-- ARGV: 1 what · 2 when it was due · 3 when it is due next, or ''\n-- Returns: 1, or 0 where somebody has.\nlocal due = redis.call('ZSCORE', KEYS[1], ARGV[1])\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\n-- Where that time is over, somebody may have said `now` to no effect.\nif not due or tonumber(due) ~= tonumber(ARGV[2]) or tonumber(due) <= now then\n  if ARGV[3] ~= '' then\n    redis.call('ZADD', KEYS[1], 'LT', ARGV[3], ARGV[1])\n  end\n  return 0\nend\nif ARGV[3] == '' then\n  redis.call('ZREM', KEYS[1], ARGV[1])\nelse\n  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])\nend\nreturn 1\n",
}

export const settleJobsScript: Script = {
  name: 'settle-jobs',
  sha: 'd8b480b5324ff7a1325a87b5416dc1781b883ab5',
  keyCount: 3,
  source: "-- How it went with leased jobs. Who lost a job to another worker says nothing about it any more, so that a repeated call counts once.\n-- KEYS: 1 leased · 2 jobs · 3 dead\n-- ARGV: for each job: id · attempt · verb (done, retry, release: as if it had not been taken, dead) · ms to wait\n--       · of a dead one its JSON {id, cause, attempts, at}\n-- Returns: number of jobs that were still the worker's.\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal count = 0\nfor i = 1, #ARGV, 5 do\n  local id, attempt, verb, wait = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]\n  if redis.call('HGET', KEYS[2], 'attempt:' .. id) == attempt and redis.call('ZSCORE', KEYS[1], id) then\n    count = count + 1\n    if verb == 'retry' or verb == 'release' then\n      redis.call('ZADD', KEYS[1], now + wait, id)\n      if verb == 'release' then\n        redis.call('HINCRBY', KEYS[2], 'attempt:' .. id, -1)\n      end\n    else\n      redis.call('ZREM', KEYS[1], id)\n      redis.call('HDEL', KEYS[2], 'attempt:' .. id)\n      if verb == 'dead' then\n        redis.call('HSET', KEYS[2], 'dead:' .. id, ARGV[i + 4])\n        redis.call('RPUSH', KEYS[3], id)\n      else\n        redis.call('HDEL', KEYS[2], 'body:' .. id)\n      end\n    end\n  end\nend\nreturn count\n",
}

export const sweptDocumentScript: Script = {
  name: 'swept-document',
  sha: '3d44dbd2ef70d365afc17f204daaa90b2ddd6bdc',
  keyCount: 1,
  source: "-- Notes that versions of a document were removed. A tombstone with nothing left to remove stays for an hour: a slow writer meets it.\n-- KEYS: 1 document\n-- ARGV: 1 when the index was made (Unix ms) · 2 `<version>.<chunks> ` of each that was removed · 3 `index` where the whole index goes,\n--       else ''\n-- Returns: 1 where the document has a version that counts, else 0\nlocal held = redis.call('HMGET', KEYS[1], 'index', 'last', 'version', 'floor', 'old')\nif held[1] ~= ARGV[1] then\n  return 0\nend\nif ARGV[3] == 'index' then\n  redis.call('DEL', KEYS[1])\n  return 0\nend\nlocal left = {}\nfor one in string.gmatch(held[5] or '', '%S+ ') do\n  if not string.find(' ' .. ARGV[2], ' ' .. one, 1, true) then\n    left[#left + 1] = one\n  end\nend\nredis.call('HSET', KEYS[1], 'old', table.concat(left))\nif held[3] then\n  return 1\nend\nif #left == 0 and tonumber(held[2]) <= tonumber(held[4] or 0) then\n  redis.call('EXPIRE', KEYS[1], 3600)\nend\nreturn 0\n",
}

export const takeJobsScript: Script = {
  name: 'take-jobs',
  sha: '8e9c0b8155fe3a977d40ef6b3531679c112d9fe2',
  keyCount: 3,
  source: "-- Moves jobs from the list to those that are leased: those whose lease or wait is over first, up to a half, then the oldest.\n-- KEYS: 1 waiting · 2 leased · 3 jobs\n-- ARGV: 1 lease in ms · 2 most jobs\n-- Returns: {a list of {id, body, attempt}, ms until something leased is due (-1: nothing is leased)}.\nlocal time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal most = tonumber(ARGV[2])\nlocal taken = {}\n\nlocal function take(id)\n  local body = redis.call('HGET', KEYS[3], 'body:' .. id)\n  if body then\n    local attempt = redis.call('HINCRBY', KEYS[3], 'attempt:' .. id, 1)\n    redis.call('ZADD', KEYS[2], now + ARGV[1], id)\n    taken[#taken + 1] = { id, body, attempt }\n  else\n    redis.call('ZREM', KEYS[2], id)\n  end\nend\n\nfor _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, math.ceil(most / 2))) do\n  take(id)\nend\nwhile #taken < most do\n  local id = redis.call('LPOP', KEYS[1])\n  if not id then\n    break\n  end\n  take(id)\nend\nlocal next = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]\nreturn { taken, next and math.max(0, next - now) or -1 }\n",
}

export const trimStreamScript: Script = {
  name: 'trim-stream',
  sha: '3f123105c48319914509e44f364d483fe8207a8a',
  keyCount: 1,
  source: "-- Removes what every group is done with: never an entry that one of them has not read or not acknowledged.\n-- KEYS: 1 stream\n-- ARGV: 1 id from which entries are kept in any case\n-- Returns: number of removed entries.\nlocal function parse(id)\n  local ms, seq = string.match(id, '^(%d+)-(%d+)$')\n  return tonumber(ms), tonumber(seq)\nend\nlocal function before(a, b)\n  local ams, aseq = parse(a)\n  local bms, bseq = parse(b)\n  return ams < bms or (ams == bms and aseq < bseq)\nend\n\nlocal keep = ARGV[1]\nlocal groups = redis.call('EXISTS', KEYS[1]) == 1 and redis.call('XINFO', 'GROUPS', KEYS[1]) or {}\nfor _, info in ipairs(groups) do\n  local group = {}\n  for i = 1, #info, 2 do\n    group[info[i]] = info[i + 1]\n  end\n  local from\n  if group.pending > 0 then\n    from = redis.call('XPENDING', KEYS[1], group.name)[2]\n  else\n    local ms, seq = parse(group['last-delivered-id'])\n    from = string.format('%.0f-%.0f', ms, seq + 1)\n  end\n  if before(from, keep) then\n    keep = from\n  end\nend\nif #groups == 0 then\n  return 0\nend\nreturn redis.call('XTRIM', KEYS[1], 'MINID', '=', keep)\n",
}
