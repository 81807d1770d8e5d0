import { expect, test } from 'vitest'
import { keyOf } from '../../shared/drivers/redis-command-key.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import type { Command } from '../../shared/ports/redis.ts'
import { testRedisUrl } from '../support/redis.ts'

/** One of each form that the hub sends. */
const COMMANDS: Command[] = [
  ['GET', 'k'],
  ['set', 'k', 'v', 'EX', 1],
  ['HMGET', 'k', 'a', 'b'],
  ['UNLINK', 'k', '{k}:2'],
  ['XADD', 'k', '*', 'a', 'b'],
  ['XREADGROUP', 'GROUP', 'streams', 'c', 'COUNT', 1, 'STREAMS', 'k', '>'],
  ['XREAD', 'COUNT', 1, 'streams', 'k', '0'],
  ['XGROUP', 'CREATE', 'k', 'g', 0, 'MKSTREAM'],
  ['XINFO', 'GROUPS', 'k'],
  ['XPENDING', 'k', 'g'],
  ['EVAL', 'return 1', 1, 'k', 'a'],
  ['EVALSHA', 'f'.repeat(40), 2, 'k', '{k}:2', 'a'],
  ['OBJECT', 'ENCODING', 'k'],
  ['MEMORY', 'USAGE', 'k'],
  ['VSIM', 'k', 'ELE', 'e'],
  ['ZUNION', 2, 'k', '{k}:2'],
  ['BLMPOP', 1, 1, 'k', 'LEFT'],
  ['PUBLISH', 'channel', 'm'],
  ['SCAN', 0, 'MATCH', 'k*'],
  ['INFO', 'memory'],
  ['CLIENT', 'ID'],
  ['TIME'],
  ['PING'],
  ['EVAL', 'return 1', 0, 'a'],
]

test('the key of a command is the first that Redis itself finds in it', async () => {
  const redis = createRedisResp({ url: testRedisUrl() })
  const asked = COMMANDS.map((command): Command => ['COMMAND', 'GETKEYS', ...command])
  const replies = await redis.wave(asked, { timeoutMs: 5_000 })
  await redis.close()
  const found = replies.map((reply) => (reply instanceof Error ? undefined : (reply as string[])[0]))
  expect(found.filter((key) => key === 'k')).toHaveLength(17)
  expect(COMMANDS.map(keyOf)).toEqual(found)
})

test('that of a script is its first, of a number its text, and RediSearch has none', () => {
  const script = { name: 's', sha: '', keyCount: 2, source: '' }
  expect(keyOf({ script, keys: ['a', 'b'], args: [] })).toBe('a')
  expect(keyOf({ script, keys: [], args: [] })).toBeUndefined()
  expect(keyOf(['GET', 7])).toBe('7')
  expect(keyOf(['GET', new TextEncoder().encode('é')])).toBe('é')
  expect(keyOf(['FT.SEARCH', 'index', '*'])).toBeUndefined()
  expect(keyOf(['AI.MODELGET', 'k', 'META'])).toBe('k')
  expect(keyOf(['AI.DAGEXECUTE', 'ROUTING', 'k', 'TIMEOUT', 10])).toBe('k')
})
