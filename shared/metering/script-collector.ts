import { createHash } from 'node:crypto'
import type { Reply, Script, ScriptCall } from '../ports/redis.ts'
import type { Replies } from '../send.ts'

type Argument = string | number | null | undefined

interface Waiting {
  call: ScriptCall
  resolve(reply: Reply): void
  reject(error: Error): void
}

/**
 * Lets a library that runs scripts by itself (`evalsha`, and `eval` after NOSCRIPT) take part in a wave of ours: what it
 * asks for while `collect` runs is returned as calls, and their replies are handed back to it.
 *
 * Its scripts may begin with `#!lua flags=allow-key-locking`, which only Upstash knows: the line is dropped.
 */
export function createScriptCollector() {
  let waiting: Waiting[] | undefined
  /** By the SHA-1 that the library knows. */
  const known = new Map<string, Script>()

  return {
    /** What the library takes for its client. */
    redis: {
      async evalsha(sha: string, keys: string[], args: Argument[]): Promise<Reply> {
        const script = known.get(sha)
        if (!script || !waiting) throw new Error('NOSCRIPT')
        const { promise, resolve, reject } = Promise.withResolvers<Reply>()
        waiting.push({
          call: { script, keys, args: args.map((value) => String(value ?? '')) },
          resolve,
          reject,
        })
        return promise
      },
      /** Only while `learn` runs: the library shows its source. */
      async eval(source: string, keys: string[]): Promise<Reply> {
        const own = source.replace(/^#!lua[^\n]*/, '')
        known.set(sha1(source), { name: 'library', sha: sha1(own), keyCount: keys.length, source: own })
        throw new Error('Learned')
      },
    },

    /** Asks the library for nothing but its scripts. */
    async learn(asks: (() => Promise<unknown>)[]): Promise<void> {
      await Promise.allSettled(asks.map((ask) => ask()))
    },

    collect<T>(ask: () => T) {
      const mine: Waiting[] = []
      waiting = mine
      const results = ask()
      waiting = undefined
      return {
        results,
        calls: mine.map(({ call }) => call),
        /** Hands the replies on; an `Error` for all of them where the wave failed. */
        resolve(replies: Replies) {
          mine.forEach(({ resolve, reject }, i) => {
            const reply = replies instanceof Error ? replies : replies[i]
            if (reply instanceof Error) reject(reply)
            else resolve(reply as Reply)
          })
        },
      }
    },
  }
}

const sha1 = (text: string) => createHash('sha1').update(text).digest('hex')
