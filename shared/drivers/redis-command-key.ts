import type { Argument, Command, ScriptCall } from '../ports/redis.ts'

/** Commands of a server and not of a key; those of RediSearch go to any node, which asks the others. */
const KEYLESS = new Set(
  'ACL AUTH CLIENT CLUSTER COMMAND CONFIG DBSIZE ECHO FLUSHALL FUNCTION INFO LATENCY MODULE PING PUBLISH PUBSUB ROLE SCAN SCRIPT TIME WAIT'.split(
    ' ',
  ),
)

/** Where the number of keys is, before them. */
const COUNTED: Record<string, number> = {
  ...{ EVAL: 2, EVALSHA: 2, EVAL_RO: 2, EVALSHA_RO: 2, FCALL: 2, FCALL_RO: 2, BLMPOP: 2, BZMPOP: 2 },
  ...{ LMPOP: 1, ZMPOP: 1, ZUNION: 1, ZINTER: 1, ZDIFF: 1, SINTERCARD: 1, ZINTERCARD: 1 },
}

/** Commands whose first argument says what to do. */
const SECOND = new Set(['OBJECT', 'MEMORY', 'XGROUP', 'XINFO', 'AI.DAGEXECUTE'])

/** The first key of a call: it decides the Cluster slot of all of them. Undefined where there is none. */
export function keyOf(call: Command | ScriptCall): string | undefined {
  if ('script' in call) return call.keys[0]
  const name = call[0].toUpperCase()
  if (KEYLESS.has(name) || name.startsWith('FT.')) return undefined
  const counted = COUNTED[name]
  if (counted !== undefined) return Number(call[counted]) > 0 ? toKey(call[counted + 1]) : undefined
  if (name === 'XREAD' || name === 'XREADGROUP') {
    const options = name === 'XREAD' ? 1 : 4 // a group may be called `streams`
    return toKey(
      call[call.findIndex((word, i) => i >= options && String(word).toUpperCase() === 'STREAMS') + 1],
    )
  }
  return toKey(call[SECOND.has(name) ? 2 : 1])
}

function toKey(argument: Argument | undefined): string | undefined {
  if (argument === undefined || typeof argument === 'string') return argument
  return typeof argument === 'number' ? String(argument) : new TextDecoder().decode(argument)
}
