// Made from shared/scripts/*.lua by `npm run generate`. Do not edit.
import type { Script } from './ports/redis.ts'

export const appendScript: Script = {
  name: 'append',
  sha: '91a8a87dcaaef8d2e6ba4840781a7094ff276614',
  keyCount: 2,
  source: "-- Hands new pieces of the running answer to those who follow it, and renews the lease.\n-- KEYS: 1 run · 2 chunks\n-- ARGV: 1 run id · 2 lease in ms · 3 index of the first piece · 4 pieces (JSON array) · 5 wake-up channel\n-- Returns: number of waiting callers, or -1 when the lease is lost. Pieces sent twice carry their index and are skipped.\nif redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then\n  return -1\nend\nredis.call('XADD', KEYS[2], '*', 'run', ARGV[1], 'from', ARGV[3], 'pieces', ARGV[4])\nredis.call('PEXPIRE', KEYS[1], ARGV[2])\nredis.call('PEXPIRE', KEYS[2], ARGV[2])\nredis.call('PUBLISH', ARGV[5], ARGV[3])\nreturn redis.call('HLEN', KEYS[1]) - 1\n",
}

export const beatScript: Script = {
  name: 'beat',
  sha: 'ef185d55d98fbb880d3ffd51be183eaa3a3c17e0',
  keyCount: 2,
  source: "-- Renews the leader's lease and says how many wait for its answer.\n-- KEYS: 1 run · 2 chunks\n-- ARGV: 1 run id · 2 lease in ms\n-- Returns: number of waiting callers, or -1 when the lease is lost.\nif redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then\n  return -1\nend\nredis.call('PEXPIRE', KEYS[1], ARGV[2])\nredis.call('PEXPIRE', KEYS[2], ARGV[2])\nreturn redis.call('HLEN', KEYS[1]) - 1\n",
}

export const endScript: Script = {
  name: 'end',
  sha: '88d5f2267822ef3fa791b1f72fd30882f45e0d82',
  keyCount: 3,
  source: "-- Ends a run: stores the answer when there is one, and tells the followers how it ended.\n-- KEYS: 1 entry · 2 run · 3 chunks\n-- ARGV: 1 run id · 2 entry, or '' to store nothing · 3 its TTL in ms · 4 index of the first piece · 5 last pieces (JSON\n--       array) · 6 end (JSON) · 7 wake-up channel · 8 how long the end stays readable, in ms\n-- Returns: 1 when this run ended here (also when it is repeated), 0 when the lease is lost.\nlocal run = redis.call('HMGET', KEYS[2], 'run', 'ended')\nif run[1] ~= ARGV[1] then\n  return 0\nend\nif run[2] then\n  return 1\nend\nif ARGV[2] ~= '' then\n  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])\nend\nif redis.call('HLEN', KEYS[2]) > 1 then\n  redis.call('XADD', KEYS[3], '*', 'run', ARGV[1], 'from', ARGV[4], 'pieces', ARGV[5], 'end', ARGV[6])\n  redis.call('PEXPIRE', KEYS[3], ARGV[8])\n  redis.call('PUBLISH', ARGV[7], ARGV[4])\nend\nredis.call('HSET', KEYS[2], 'ended', 1)\nredis.call('PEXPIRE', KEYS[2], ARGV[8])\nreturn 1\n",
}

export const leadScript: Script = {
  name: 'lead',
  sha: 'd2c61eca6e5ca857087a67dd24cf606309120ac2',
  keyCount: 3,
  source: "-- Decides who calls the provider: one leader a run, everybody else follows it.\n-- KEYS: 1 entry (string) · 2 run (hash: run, ended, w:<caller>) · 3 chunks (stream)\n-- ARGV: 1 caller id, becomes the run id of a leader · 2 lease in ms\n-- Returns: {'hit', entry} | {'lead'} | {'follow', run id}. Repeating it with the same caller id changes nothing.\nlocal entry = redis.call('GET', KEYS[1])\nif entry then\n  return { 'hit', entry }\nend\nlocal run = redis.call('HMGET', KEYS[2], 'run', 'ended')\nif run[1] and not run[2] then\n  if run[1] == ARGV[1] then\n    return { 'lead' }\n  end\n  redis.call('HSET', KEYS[2], 'w:' .. ARGV[1], 1)\n  return { 'follow', run[1] }\nend\n-- Only where there is something to delete: once a script has written, Redis refuses it no more memory.\nif redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then\n  redis.call('DEL', KEYS[2], KEYS[3])\nend\nredis.call('HSET', KEYS[2], 'run', ARGV[1])\nredis.call('PEXPIRE', KEYS[2], ARGV[2])\nreturn { 'lead' }\n",
}

export const releaseScript: Script = {
  name: 'release',
  sha: 'cbd4c6a6493225b2b5a537511cdd1850089d237a',
  keyCount: 2,
  source: "-- Gives a run up when nobody waits for its answer.\n-- KEYS: 1 run · 2 chunks\n-- ARGV: 1 run id\n-- Returns: number of waiting callers; 0 means that the run is given up (or was lost before).\nif redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then\n  return 0\nend\nlocal waiting = redis.call('HLEN', KEYS[1]) - 1\nif waiting == 0 then\n  redis.call('DEL', KEYS[1], KEYS[2])\nend\nreturn waiting\n",
}
