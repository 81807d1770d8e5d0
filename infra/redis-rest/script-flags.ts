import { createHash } from 'node:crypto'
import { RedisReplyError } from '../../shared/errors.ts'
import type { Command, Reply } from '../../shared/ports/redis.ts'

/** Enough for every script of many applications; a forgotten one costs its caller an EVAL. */
const REMEMBERED = 1_000

const EVALS = new Set(['EVAL', 'EVAL_RO'])
const EVALSHAS = new Set(['EVALSHA', 'EVALSHA_RO'])

export interface Rewritten {
  command: Command
  /** Puts the caller's view back into the reply. */
  restore?: (reply: Reply) => Reply
}

/**
 * Scripts for Upstash may begin `#!lua flags=allow-key-locking` (those of @upstash/ratelimit do), which Redis
 * rejects: the flag is taken out, and the SHA-1 of the original leads to the script that Redis knows.
 */
export function createScriptFlags() {
  const shas = new Map<string, string>()

  function strip(source: string) {
    const stripped = withoutLocking(source)
    if (stripped === source) return { source }
    const sha = sha1(source)
    shas.delete(sha)
    shas.set(sha, sha1(stripped))
    if (shas.size > REMEMBERED) shas.delete(shas.keys().next().value!)
    return { source: stripped, sha }
  }

  return (command: readonly string[]): Rewritten => {
    const [name, first, ...rest] = command as [string, ...string[]]
    const upper = name.toUpperCase()
    if (first === undefined) return { command: [name] }
    if (EVALS.has(upper)) return { command: [name, strip(first).source, ...rest] }
    const known = (sha: string) => shas.get(sha.toLowerCase()) ?? sha
    if (EVALSHAS.has(upper)) return { command: [name, known(first), ...rest] }
    if (upper === 'SCRIPT' && /^exists$/i.test(first)) return { command: [name, first, ...rest.map(known)] }
    if (upper === 'SCRIPT' && /^load$/i.test(first) && rest[0] !== undefined) {
      const { source, sha } = strip(rest[0])
      const restore = (reply: Reply) =>
        sha && !(reply instanceof RedisReplyError) ? Buffer.from(sha) : reply
      return { command: [name, first, source, ...rest.slice(1)], restore }
    }
    return { command: [name, first, ...rest] }
  }
}

function withoutLocking(source: string) {
  return source.replace(/^#!lua[^\r\n]*/, (line) =>
    line.replace(/ flags=(\S*)/, (_, flags: string) => {
      const kept = flags.split(',').filter((flag) => flag !== 'allow-key-locking')
      return kept.length > 0 ? ` flags=${kept.join(',')}` : ''
    }),
  )
}

function sha1(text: string) {
  return createHash('sha1').update(text).digest('hex')
}
