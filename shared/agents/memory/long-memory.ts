import type { Admission } from '../../admission.ts'
import type { Embeddings } from '../../embeddings/embeddings.ts'
import { HubError } from '../../errors.ts'
import { matches } from '../../filters.ts'
import { newId } from '../../ids.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Redis } from '../../ports/redis.ts'
import type { Vectors } from '../../ports/vectors.ts'
import type { LongMemory } from './memory.ts'
import { isValid, type StoredMemory, toMemoryEntry } from './memory-entry.ts'
import { fieldsOf, toMemoryFilter } from './memory-filter.ts'
import { LONGEST_MEMORY } from './memory-gate.ts'
import { createMemoryIndex } from './memory-index.ts'
import { createRemember } from './memory-remember.ts'
import { createMemoryStore, type Owner } from './memory-store.ts'
import { createMemoryUpkeep, type MemoryUpkeep } from './memory-upkeep.ts'

export interface LongMemoryOptions {
  redis: Redis
  vectors: Vectors
  embeddings: Embeddings
  clock: Clock
  /** Who pays where a sweeper embeds what a process that died did not. */
  admission: Pick<Admission, 'recall'>
}

const DEFAULT_TOP_K = 10
const MOST_RESULTS = 1_000
/** Nearest memories that a recall looks at first: forgotten ones and those of another time take places too. */
const LEAST_LOOKED_AT = 50

/**
 * Long-term memory of agents. Redis holds the memories and decides what counts; the vector store finds them by meaning, and what it finds
 * is looked up there.
 *
 * @example const { remember, recall } = createLongMemory({ redis, vectors, embeddings, clock, admission })
 */
export function createLongMemory({
  redis,
  vectors,
  embeddings,
  clock,
  admission,
}: LongMemoryOptions): LongMemory & Pick<MemoryUpkeep, 'sweep'> {
  const store = createMemoryStore({ redis })
  const index = createMemoryIndex({ vectors, embeddings })
  const upkeep = createMemoryUpkeep({ store, index, redis, clock, admission })
  const remember = createRemember({ store, index, upkeep, clock })

  return {
    sweep: upkeep.sweep,

    remember: (tenant, agent, memory, call) => remember({ tenant, agent }, memory, call),

    async recall(tenant, agent, asked, call) {
      const { top_k: wanted = DEFAULT_TOP_K, min_score: least = -1, at } = asked
      const owner = { tenant, agent }
      // Of a long input, as an agent gets them, the beginning.
      const query = asked.query.trim().slice(0, LONGEST_MEMORY).toWellFormed()
      if (query === '') throw invalid('query', 'The query is empty: say what to look for.')
      const filter = asked.filter && toMemoryFilter(asked.filter)
      const space = await store.space(owner)
      if (!space) return [] // it remembers nothing
      const [vector] = (await index.embed(space, [query], 'query', call)).vectors
      const passes = (memory: StoredMemory) =>
        isValid(memory, clock.now(), at) && (!filter || matches(filter, fieldsOf(memory)))

      const count = Math.min(wanted, MOST_RESULTS)
      const limit = Math.max(LEAST_LOOKED_AT, 2 * count)
      const hits = await index.nearest(owner, space, { vector: vector!, limit, signal: call.signal })
      const near = hits.filter(({ score }) => score >= least)
      const memories = await store.read(
        owner,
        near.map(({ id }) => id),
      )
      const found = near.flatMap(({ score }, i) =>
        memories[i] && passes(memories[i]) ? [toMemoryEntry(memories[i], score)] : [],
      )
      return found.length >= count || near.length < limit ? found.slice(0, count) : lookAtAll()

      /** Most of what is near does not pass: all that passes is compared. */
      async function lookAtAll() {
        const scored: { memory: StoredMemory; score: number }[] = []
        for await (const page of store.all(owner)) {
          const some = page.filter(passes)
          const ids = some.map(({ id }) => id)
          const scores = await index.similarity(owner, space!, vector!, { ids, signal: call.signal })
          for (const [i, memory] of some.entries()) {
            const score = scores[i] ?? Number.NEGATIVE_INFINITY // not indexed yet
            if (score >= least) scored.push({ memory, score })
          }
        }
        const best = scored.sort((a, b) => b.score - a.score).slice(0, count)
        return best.map(({ memory, score }) => toMemoryEntry(memory, score))
      }
    },

    async list(tenant, agent, page) {
      const owner = { tenant, agent }
      const ids = await store.page(owner, { ...page, limit: page.limit + 1 })
      const shown = ids.slice(0, page.limit)
      const memories = await store.read(owner, shown)
      return {
        data: memories.flatMap((memory) => (memory ? [toMemoryEntry(memory)] : [])),
        next: ids.length > shown.length ? shown.at(-1)! : null,
      }
    },

    async forget(tenant, agent, id) {
      const owner = { tenant, agent }
      const memory = await find(owner, id)
      const space = await store.space(owner)
      if (!space) throw unknownMemory(id)
      if (memory.forgotten !== undefined) return
      // Before it is forgotten, and another one each time: whatever dies, and is restored, somebody removes it in the end.
      await upkeep.due({ of: 'forgotten', ...owner, space, id, nonce: newId() })
      if (!(await store.forget(owner, memory, clock.now()))) throw unknownMemory(id)
    },

    async restore(tenant, agent, id) {
      const owner = { tenant, agent }
      const memory = await find(owner, id)
      if (!(await store.restore(owner, memory))) throw unknownMemory(id)
      return toMemoryEntry({ ...memory, forgotten: undefined })
    },

    async drop(tenant, agent) {
      const owner = { tenant, agent }
      const space = await store.space(owner)
      if (!space) return // nothing was remembered, or whoever dropped it, or a sweeper, removes the rest
      const duty = { of: 'dropped' as const, ...owner, space, nonce: newId() }
      await upkeep.due(duty)
      await store.drop(owner, duty.nonce)
      await upkeep.removeDropped(duty)
      await upkeep.done(duty)
    },
  }

  async function find(owner: Owner, id: string): Promise<StoredMemory> {
    const [memory] = await store.read(owner, [id])
    if (!memory) throw unknownMemory(id)
    return memory
  }
}

const unknownMemory = (id: string) =>
  new HubError({
    code: 'memory_not_found',
    status: 404,
    message: `The agent has no memory \`${id}\`. GET /v1/agents/{id}/memory lists what it has.`,
    param: 'memory',
  })

const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_value', status: 400, message, param })
