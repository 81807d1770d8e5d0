import { indexesKey, SWEEPS_KEY } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import type { ChunkRef, Vectors } from '../ports/vectors.ts'
import { claimDueScript, replaceFieldScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import { dropCitedBy } from './cited-by.ts'
import { look, must, pageOf, refsOf, strike, swept } from './document-state.ts'
import type { DocumentEntry, DocumentSweeps } from './document-sweeps.ts'
import { isServed, readRecord, removedField } from './index-record.ts'
import type { Index } from './indexes.ts'
import { memoryEntry, type SweepEntry, sweepCall, sweptCall } from './sweep-entry.ts'

export interface SweepsOptions {
  redis: Redis
  cacheRedis: Redis
  vectors: Vectors
  documentSweeps: DocumentSweeps
  clock: Clock
}

const TIMEOUT = { timeoutMs: 5_000 }
/** How many entries are taken at once, and for how long nobody else takes them. */
const BATCH = 100
const LEASE_MS = 60_000
/** Documents of a dropped index that are read at once. */
const PAGE = 200
/** How long a slow writer may still turn up after its index was removed. */
const REMEMBERED_MS = 86_400_000

/** What must be removed though whoever wanted it gone may have died: run by a timer and by schedules, on any instance. */
export function createSweeps({ redis, cacheRedis, vectors, documentSweeps, clock }: SweepsOptions) {
  return {
    /**
     * Works off what is due, up to `limit` entries or until `untilMs` (Unix ms). An entry that fails is due again in a minute
     * and stops no other; the first failure is thrown in the end.
     */
    async sweep({
      untilMs,
      limit,
      signal,
    }: {
      untilMs: number
      limit: number
      signal?: AbortSignal
    }): Promise<number> {
      let done = 0
      let failure: unknown
      while (done < limit && clock.now() < untilMs) {
        signal?.throwIfAborted()
        const claim = {
          script: claimDueScript,
          keys: [SWEEPS_KEY],
          args: [Math.min(BATCH, limit - done), LEASE_MS],
        }
        const due = ((await send(redis, claim, TIMEOUT)) as string[]).map(
          (text) => JSON.parse(text) as SweepEntry,
        )
        if (due.length === 0) break
        done += due.length
        for (const group of groupsOf(due)) {
          if (clock.now() >= untilMs) return done // the rest is due again in a minute
          await sweepGroup(group, signal).catch((error) => {
            failure ??= error
          })
        }
      }
      if (failure) throw failure
      return done
    },

    /** Removes one index that was deleted, now. */
    dropIndex,
  }

  async function sweepGroup(group: SweepEntry[], signal?: AbortSignal) {
    const [{ of, tenant, index: name, made }] = group as [SweepEntry]
    const fields = [name, removedField(name, made)]
    const [record, removed] = (
      (await send(redis, ['HMGET', indexesKey(tenant), ...fields], TIMEOUT)) as string[]
    ).map(readRecord)
    const known = [record, removed].find((one) => one && 'index' in one && one.index.createdAt === made)
    const index = known && 'index' in known ? known.index : undefined
    if (of === 'memory') await send(redis, ['HDEL', indexesKey(tenant), removedField(name, made)], TIMEOUT)
    else if (index && of === 'index') await dropIndex(index, signal)
    else if (index) {
      const served = isServed(record, index)
      return documentSweeps.visit(index, group as DocumentEntry[], { served })
    }
    must(await redis.wave(group.map(sweptCall), TIMEOUT))
  }

  /** Goes on where it broke off: the definition goes last. One that was not marked as deleted stays. */
  async function dropIndex({ vectors: { tenant, name }, createdAt }: Index, signal?: AbortSignal) {
    const key = indexesKey(tenant)
    const text = (await send(redis, ['HGET', key, name], TIMEOUT)) as string | null
    const record = readRecord(text)
    if (
      !record ||
      !('index' in record) ||
      record.state !== 'deleting' ||
      record.index.createdAt !== createdAt
    )
      return
    const { index } = record
    // A writer that is not stopped by then cleans up after itself or is cleaned up after: with this.
    must(
      await redis.wave(
        [
          ['HSET', key, removedField(name, createdAt), text!],
          sweepCall(memoryEntry(index), clock.now() + REMEMBERED_MS),
        ],
        TIMEOUT,
      ),
    )
    await vectors.drop(index.vectors, chunksOf(index), { timeoutMs: 30_000, signal })
    for (;;) {
      const ids = (await send(redis, pageOf(index, undefined, PAGE), TIMEOUT)) as string[]
      if (ids.length === 0) break
      signal?.throwIfAborted()
      must(await redis.wave([...ids.map((id) => swept(index, id, '', true))], TIMEOUT))
      await dropCitedBy({ redis, cacheRedis }, index.vectors, ids, TIMEOUT)
      must(await redis.wave([strike(index, ids)], TIMEOUT))
    }
    await send(redis, { script: replaceFieldScript, keys: [key], args: [name, text!, ''] }, TIMEOUT)
  }

  async function* chunksOf(index: Index): AsyncGenerator<ChunkRef[]> {
    let after: string | undefined
    for (;;) {
      const ids = (await send(redis, pageOf(index, after, PAGE), TIMEOUT)) as string[]
      if (ids.length === 0) return
      const replies = await redis.wave(
        ids.map((id) => look(index, id, 'chunks', 'old')),
        TIMEOUT,
      )
      yield ids.flatMap((id, i) => refsOf(id, listOf(index, replies[i] as (string | null)[])))
      after = ids.at(-1)
    }
  }
}

export type Sweeps = ReturnType<typeof createSweeps>

/** All versions that a document has, as `<version>.<chunks> ` of each. */
function listOf(index: Index, reply: (string | null)[] | Error): string {
  if (reply instanceof Error) throw reply
  const [made, version, chunks, old] = reply
  if (made !== String(index.createdAt)) return ''
  return `${old ?? ''}${version === null ? '' : `${version}.${chunks}`}`
}

/** Documents of one index go together. */
function groupsOf(entries: SweepEntry[]): SweepEntry[][] {
  const groups = Object.groupBy(entries, ({ of, tenant, index, made }) =>
    JSON.stringify([of, tenant, index, made]),
  )
  return Object.values(groups) as SweepEntry[][]
}
