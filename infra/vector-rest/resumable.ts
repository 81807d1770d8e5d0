import type { Command, Reply } from '../../shared/ports/redis.ts'
import { Refusal } from './errors.ts'

/** What a resumable query must remember lies in Redis: its request, and what it gave already. */
export function createResumables(
  keyOf: (id: string) => string,
  run: (commands: Command[]) => Promise<Reply[]>,
) {
  const seenKey = (id: string) => `{${keyOf(id)}}:seen`

  async function mustRead(id: string) {
    const [kept] = await run([['GET', keyOf(id)]])
    if (kept !== null) return JSON.parse(kept as string) as { request: unknown; maxIdleSeconds: number }
    throw new Refusal(404, 'The resumable query does not exist: it was stopped, or idle for too long')
  }

  return {
    async start(id: string, request: unknown, maxIdleSeconds: number) {
      await run([['SET', keyOf(id), JSON.stringify({ request, maxIdleSeconds }), 'EX', maxIdleSeconds]])
    },

    async read(id: string) {
      const { request } = await mustRead(id)
      const [seen] = await run([['SMEMBERS', seenKey(id)]])
      return { request, seen: new Set(seen as string[]) }
    },

    /** These will not be given again; the time until it is forgotten begins anew. */
    async gave(id: string, ids: readonly string[]) {
      const { maxIdleSeconds } = await mustRead(id)
      await run([
        ...(ids.length > 0 ? [['SADD', seenKey(id), ...ids] as const] : []),
        ['EXPIRE', seenKey(id), maxIdleSeconds],
        ['EXPIRE', keyOf(id), maxIdleSeconds],
      ])
    },

    async stop(id: string) {
      await mustRead(id)
      await run([
        ['DEL', keyOf(id)],
        ['DEL', seenKey(id)],
      ])
    },
  }
}
