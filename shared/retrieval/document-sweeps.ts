import type { Redis } from '../ports/redis.ts'
import type { Vectors } from '../ports/vectors.ts'
import { dropCitedBy } from './cited-by.ts'
import { bury, enlist, look, must, refsOf, retire, strike, swept } from './document-state.ts'
import type { Index } from './indexes.ts'
import { type SweepEntry, sweptCall } from './sweep-entry.ts'

export type DocumentEntry = Extract<SweepEntry, { of: 'document' }>

export interface DocumentSweepsOptions {
  redis: Redis
  cacheRedis: Redis
  vectors: Vectors
}

const TIMEOUT = { timeoutMs: 5_000 }
const REMOVAL_MS = 30_000

/** Cleaning up after writers and deleters of documents, by whoever comes: themselves, or a sweeper where they died. */
export function createDocumentSweeps({ redis, cacheRedis, vectors }: DocumentSweepsOptions) {
  const wave = async (...[calls]: Parameters<Redis['wave']>) => must(await redis.wave(calls, TIMEOUT))

  return {
    /**
     * Removes what of these documents counts no longer, and strikes the entries. A version that counts stays, unless the index
     * is served no more: then all goes. May be repeated after it broke off anywhere, and run twice at the same time.
     */
    async visit(
      index: Index,
      entries: readonly DocumentEntry[],
      { served }: { served: boolean },
    ): Promise<void> {
      if (entries.length === 0) return
      if (!served) await wave(entries.map(({ id }) => bury(index, id)))
      // From here on no version that is removed can become the one that counts.
      const lists = (await wave(entries.map((entry) => retire(index, entry)))) as string[]
      const refs = entries.flatMap(({ id }, i) => refsOf(id, lists[i]!))
      if (refs.length > 0) await vectors.remove(index.vectors, refs, { timeoutMs: REMOVAL_MS })
      const left = await wave(entries.map(({ id }, i) => swept(index, id, lists[i]!, !served)))
      await list(
        index,
        entries.flatMap(({ id }, i) => (left[i] === 1 ? [id] : [])),
        entries.flatMap(({ id }, i) => (left[i] === 1 ? [] : [id])),
      )
      const ids = entries.map(({ id }) => id)
      await dropCitedBy({ redis, cacheRedis }, index.vectors, ids, TIMEOUT)
      await wave(entries.map(sweptCall))
    },
  }

  /** Striking first and looking after it: one that was written meanwhile is put back, by us or by its writer. */
  async function list(index: Index, there: string[], gone: string[]) {
    await wave([
      ...(there.length ? [enlist(index, there)] : []),
      ...(gone.length ? [strike(index, gone)] : []),
    ])
    // Of whatever index of that name: the list is one.
    const replies = gone.length ? await wave(gone.map((id) => look(index, id))) : []
    const back = gone.filter((_, i) => (replies[i] as (string | null)[])[1] !== null)
    if (back.length) await wave([enlist(index, back)])
  }
}

export type DocumentSweeps = ReturnType<typeof createDocumentSweeps>
