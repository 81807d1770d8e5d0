import { hash } from 'node:crypto'
import { agentKeys, longMemoryKeys } from '../../keys.ts'
import type { Command, Redis, Reply, ScriptCall } from '../../ports/redis.ts'
import {
  admitMemoryScript,
  dropMemoriesScript,
  forgetMemoryScript,
  purgeMemoryScript,
  restoreMemoryScript,
} from '../../scripts.generated.ts'
import { send } from '../../send.ts'
import { readMemory, type StoredMemory } from './memory-entry.ts'

/** Whose memory. */
export interface Owner {
  tenant: string
  agent: string
}

/** What its vectors were made by: fixed with the agent's first memory, as vectors of two models do not compare. */
export interface Space {
  /** `provider/model` */
  model: string
  dimensions: number
}

export type Admitted =
  | { outcome: 'stored' | 'deleted' }
  | { outcome: 'known' | 'taken' | 'full'; id: string }
  | { outcome: 'space'; space: Space }

export interface MemoryPage {
  limit: number
  /** An id. */
  before?: string
  forgotten?: boolean
}

/** Forgotten ones included, which give way when there is no more room. */
export const MOST_MEMORIES = 10_000

const SLOW = { timeoutMs: 2_000 }
/** Memories of one reply: up to 2,000 characters and 4,000 of metadata each. */
const AT_ONCE = 200

/** Memories in Redis, where what counts is decided: their vectors are an index over them. */
export function createMemoryStore({ redis }: { redis: Redis }) {
  const ask = (call: Command | ScriptCall) => send(redis, call, SLOW)

  const store = {
    /** What the agent's memory is made of, whether the operation stored something, and who has the text. */
    async look(owner: Owner, memory: Pick<StoredMemory, 'once' | 'hash'>) {
      const fields = [onceField(memory), textField(memory), 'space']
      const found = (await ask(['HMGET', keysOf(owner).hashes, ...fields])) as (string | null)[]
      const [known, taken, space] = found
      return { known: known ?? undefined, taken: taken ?? undefined, space: readSpace(space) }
    },

    async space(owner: Owner): Promise<Space | undefined> {
      return readSpace(await ask(['HGET', keysOf(owner).hashes, 'space']))
    },

    /** In order; undefined for what is not there. */
    async read(owner: Owner, ids: readonly string[]): Promise<(StoredMemory | undefined)[]> {
      const { entries } = keysOf(owner)
      const calls: Command[] = []
      for (let at = 0; at < ids.length; at += AT_ONCE) {
        const fields = ids.slice(at, at + AT_ONCE).flatMap((id) => [id, forgottenField(id)])
        calls.push(['HMGET', entries, ...fields])
      }
      const memories: (StoredMemory | undefined)[] = []
      // One after the other: all of them are too much for Redis to say at once.
      for (const call of calls) {
        const reply = (await ask(call)) as Reply[]
        for (let i = 0; i < reply.length; i += 2) memories.push(readMemory(reply[i], reply[i + 1]))
      }
      return memories
    },

    /** `taken`: the id that may have the text already. */
    async admit(owner: Owner, memory: StoredMemory, space: Space, taken = ''): Promise<Admitted> {
      const { entries, hashes, ids, forgotten } = keysOf(owner)
      const { agent } = agentKeys(owner.tenant, owner.agent)
      const call = {
        script: admitMemoryScript,
        keys: [entries, hashes, ids, forgotten, agent],
        args: [
          ...[memory.id, onceField(memory), textField(memory), taken],
          ...[JSON.stringify(memory), JSON.stringify(space), MOST_MEMORIES],
        ],
      }
      const [outcome, detail = ''] = (await ask(call)) as [Admitted['outcome'], string?]
      if (outcome === 'stored' || outcome === 'deleted') return { outcome }
      return outcome === 'space' ? { outcome, space: readSpace(detail)! } : { outcome, id: detail }
    },

    async forget(owner: Owner, memory: StoredMemory, now: number): Promise<boolean> {
      const { entries, hashes, ids, forgotten } = keysOf(owner)
      const args = [memory.id, textField(memory), now]
      return (await ask({ script: forgetMemoryScript, keys: [entries, hashes, ids, forgotten], args })) === 1
    },

    async restore(owner: Owner, memory: StoredMemory): Promise<boolean> {
      const { entries, hashes, ids, forgotten } = keysOf(owner)
      const args = [memory.id, textField(memory)]
      return (await ask({ script: restoreMemoryScript, keys: [entries, hashes, ids, forgotten], args })) === 1
    },

    /** Removes one that was forgotten until then, Unix ms. False where it stays. */
    async purge(owner: Owner, memory: StoredMemory, until: number): Promise<boolean> {
      const { entries, hashes, forgotten } = keysOf(owner)
      const args = [memory.id, onceField(memory), until]
      return (await ask({ script: purgeMemoryScript, keys: [entries, hashes, forgotten], args })) === 1
    },

    /** The latest first. */
    async page(owner: Owner, { limit, before, forgotten = false }: MemoryPage): Promise<string[]> {
      const keys = keysOf(owner)
      const start = before === undefined ? '+' : `(${before}`
      const key = forgotten ? keys.forgotten : keys.ids
      return (await ask(['ZRANGE', key, start, '-', 'BYLEX', 'REV', 'LIMIT', 0, limit])) as string[]
    },

    /** All that is not forgotten, in parts. */
    async *all(owner: Owner): AsyncGenerator<StoredMemory[]> {
      for (let before: string | undefined; ; ) {
        const ids = await store.page(owner, { limit: AT_ONCE, before })
        yield (await store.read(owner, ids)).filter((memory) => memory !== undefined)
        before = ids.at(-1)
        if (ids.length < AT_ONCE) return
      }
    },

    async drop(owner: Owner, nonce: string): Promise<void> {
      const { entries, hashes, ids, forgotten, dropped } = keysOf(owner)
      const keys = [entries, hashes, ids, forgotten, dropped(nonce)]
      await ask({ script: dropMemoriesScript, keys, args: [] })
    },

    /** Ids of dropped memories whose vectors may still be there. */
    async dropped(owner: Owner, nonce: string): Promise<string[]> {
      return (await ask(['ZRANGE', keysOf(owner).dropped(nonce), 0, AT_ONCE - 1])) as string[]
    },

    async strike(owner: Owner, nonce: string, ids: readonly string[]): Promise<void> {
      await ask(['ZREM', keysOf(owner).dropped(nonce), ...ids])
    },
  }
  return store
}

export type MemoryStore = ReturnType<typeof createMemoryStore>

const keysOf = ({ tenant, agent }: Owner) => longMemoryKeys(tenant, agent)

const onceField = ({ once }: Pick<StoredMemory, 'once'>) => `once:${hash('sha256', once)}`
const textField = (memory: Pick<StoredMemory, 'hash'>) => `text:${memory.hash}`
const forgottenField = (id: string) => `${id}:forgotten`

const readSpace = (text: Reply | undefined): Space | undefined =>
  typeof text === 'string' ? JSON.parse(text) : undefined
