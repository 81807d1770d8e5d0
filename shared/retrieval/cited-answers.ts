import type { CompletionRequest, Look } from '../completions/completion-look.ts'
import { citedByKey, completionKeys } from '../keys.ts'
import type { Redis } from '../ports/redis.ts'
import type { Documents } from './documents.ts'
import type { Index } from './indexes.ts'
import type { Source } from './sources.ts'

export interface CitedAnswersOptions {
  redis: Redis
  cacheRedis: Redis
  hashOf: Look['hashOf']
  documents: Documents
}

const TIMEOUT_MS = 1_000

/** Which stored answers cite which documents: whoever changes a document drops them. */
export function createCitedAnswers({ redis, cacheRedis, hashOf, documents }: CitedAnswersOptions) {
  return {
    /** Once the answer is stored. A document that changed before this was noted is seen by the look after it. */
    async tag(tenant: string, index: Index, request: CompletionRequest, cited: readonly Source[]) {
      const hash = await hashOf(tenant, request)
      const { entry } = completionKeys(tenant, hash)
      const [ttlMs] = await cacheRedis.wave([['PTTL', entry]], { timeoutMs: TIMEOUT_MS })
      if (typeof ttlMs !== 'number' || ttlMs <= 0) return // not stored
      const ids = new Set(cited.map(({ documentId }) => documentId))
      const calls = [...ids].flatMap((id) => {
        const key = citedByKey(tenant, index.vectors.name, id)
        return [
          ['SADD', key, hash],
          ['PEXPIRE', key, ttlMs, 'NX'],
          ['PEXPIRE', key, ttlMs, 'GT'],
        ] as const
      })
      const replies = await redis.wave(calls, { timeoutMs: TIMEOUT_MS })
      const failure = replies.find((reply) => reply instanceof Error)
      const firsts = cited.map(({ chunks }) => chunks[0]!)
      const now = failure ? [] : await documents.read(index, firsts, { timeoutMs: TIMEOUT_MS })
      if (failure || now.includes(undefined))
        await cacheRedis.wave([['UNLINK', entry]], { timeoutMs: TIMEOUT_MS })
    },
  }
}

export type CitedAnswers = ReturnType<typeof createCitedAnswers>
