import type { Admission } from '../../admission.ts'
import { FORGOTTEN_KEPT_MS, MEMORIES_DUE_KEY } from '../../keys.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Redis } from '../../ports/redis.ts'
import { claimDueScript } from '../../scripts.generated.ts'
import { send } from '../../send.ts'
import type { MemoryCall } from './memory.ts'
import type { StoredMemory } from './memory-entry.ts'
import type { MemoryIndex } from './memory-index.ts'
import type { MemoryStore, Owner, Space } from './memory-store.ts'

/**
 * What somebody must look after though whoever began it may have died. `written`: a memory and its vector; `forgotten`: one that can be
 * brought back until then; `dropped`: vectors of an agent that was deleted. The space is told, as the agent may have none any more.
 */
export type MemoryDuty = Owner & { space: Space } & (
    | { of: 'written'; id: string }
    | { of: 'forgotten'; id: string; nonce: string }
    | { of: 'dropped'; nonce: string }
  )

export interface MemoryUpkeepOptions {
  store: MemoryStore
  index: MemoryIndex
  redis: Redis
  clock: Clock
  admission: Pick<Admission, 'recall'>
}

const SLOW = { timeoutMs: 2_000 }
/** Duties that one sweeper takes, and for how long nobody else does. */
const BATCH = 50
const LEASE_MS = 60_000
/** Whoever writes a memory or drops an agent's is done by then, or has died. */
const DONE_BY_MS = 60_000
/** The name of the function in whose scope the sweeper embeds. */
const SCOPE = 'agent-step'

/** Sees to it that vectors are there for what is remembered, and for nothing else. */
export function createMemoryUpkeep({ store, index, redis, clock, admission }: MemoryUpkeepOptions) {
  const upkeep = {
    /** Before what must not be left half done; `done` after it. */
    async due(duty: MemoryDuty): Promise<void> {
      const at = clock.now() + (duty.of === 'forgotten' ? FORGOTTEN_KEPT_MS : DONE_BY_MS)
      await send(redis, ['ZADD', MEMORIES_DUE_KEY, at, JSON.stringify(duty)], SLOW)
    },

    async done(duty: MemoryDuty): Promise<void> {
      await send(redis, ['ZREM', MEMORIES_DUE_KEY, JSON.stringify(duty)], SLOW)
    },

    /** Gives a memory its vector. May be repeated, also while others forget, drop or write it. */
    async index(owner: Owner, space: Space, memory: StoredMemory, call: MemoryCall, vector?: Float32Array) {
      const [made] = vector ? [vector] : (await index.embed(space, [memory.text], 'document', call)).vectors
      await index.put(owner, space, memory.id, made!, call.signal)
      // Whoever removed it meanwhile may have come too early for its vector.
      const [there] = await store.read(owner, [memory.id])
      if (!there) await index.remove(owner, space, [memory.id], call.signal)
    },

    async removeDropped(
      { space, nonce, ...owner }: Owner & { space: Space; nonce: string },
      signal?: AbortSignal,
    ) {
      for (;;) {
        const ids = await store.dropped(owner, nonce)
        if (ids.length === 0) return
        await index.remove(owner, space, ids, signal)
        await store.strike(owner, nonce, ids)
      }
    },

    /**
     * Works off what is due, up to `limit` duties or until `untilMs` (Unix ms). One that fails is due again in a minute and stops no other; the
     * first failure is thrown in the end.
     */
    async sweep({ untilMs, limit, signal }: { untilMs: number; limit: number; signal?: AbortSignal }) {
      let failure: unknown
      for (let done = 0; done < limit && clock.now() < untilMs; ) {
        signal?.throwIfAborted()
        const args = [Math.min(BATCH, limit - done), LEASE_MS]
        const due = await send(redis, { script: claimDueScript, keys: [MEMORIES_DUE_KEY], args }, SLOW)
        const duties = (due as string[]).map((text): MemoryDuty => JSON.parse(text))
        if (duties.length === 0) break
        done += duties.length
        for (const duty of duties) {
          if (clock.now() >= untilMs) break // the rest is due again in a minute
          await settle(duty, signal).catch((error) => {
            failure ??= error
          })
        }
      }
      if (failure) throw failure
    },
  }
  return upkeep

  async function settle(duty: MemoryDuty, signal?: AbortSignal) {
    const { tenant, agent, space } = duty
    const owner = { tenant, agent }
    if (duty.of === 'dropped') await upkeep.removeDropped(duty, signal)
    else {
      const [memory] = await store.read(owner, [duty.id])
      if (!memory) await index.remove(owner, space, [duty.id], signal)
      else if (duty.of === 'written') await indexForNobody(owner, space, memory, signal)
      else if (await store.purge(owner, memory, clock.now() - FORGOTTEN_KEPT_MS))
        await index.remove(owner, space, [duty.id], signal)
    }
    await upkeep.done(duty)
  }

  async function indexForNobody(owner: Owner, space: Space, memory: StoredMemory, given?: AbortSignal) {
    const deferred: Promise<unknown>[] = []
    const caller = await admission.recall(owner.tenant, null, SCOPE)
    const signal = AbortSignal.any([AbortSignal.timeout(DONE_BY_MS), ...(given ? [given] : [])])
    await upkeep.index(owner, space, memory, { caller, signal, defer: (work) => void deferred.push(work) })
    await Promise.allSettled(deferred)
  }
}

export type MemoryUpkeep = ReturnType<typeof createMemoryUpkeep>
