import type { Admission, Caller } from '../admission.ts'
import { HubError, mayPass, toHubError } from '../errors.ts'
import { documentJobKey } from '../keys.ts'
import type { Command, Redis } from '../ports/redis.ts'
import type { Handle, Outcome, StreamEntry } from '../streams/group-worker.ts'
import type { DocumentInput, Documents } from './documents.ts'
import type { Index, Indexes } from './indexes.ts'
import type { ItemError, Jobs } from './jobs.ts'

export interface JobWorkerOptions {
  redis: Redis
  jobs: Jobs
  documents: Pick<Documents, 'put'>
  indexes: Pick<Indexes, 'resolve'>
  admission: Pick<Admission, 'recall'>
  /** Scope that the job's key must still have. */
  scope: string
}

interface Item {
  /** Place in the batch that the handler was given. */
  i: number
  tenant: string
  keyId: string | null
  index: string
  job: string
  n: number
  /** When its job was made, Unix ms. */
  at: number
  document: DocumentInput & { id: string }
}

/**
 * Embeds and writes queued documents, in the name of the key that sent them. What cannot succeed is noted as failed at once; what may is
 * tried again; in both cases the job's other documents go on. Repeated, it changes nothing: an unchanged document is not written again.
 */
export function createJobWorker({ redis, jobs, documents, indexes, admission, scope }: JobWorkerOptions) {
  const handle: Handle = async (entries, signal) => {
    const items = entries.map(toItem)
    const outcomes: Outcome[] = items.map((item) =>
      item ? undefined : { failed: 'This is no document to embed', permanent: true },
    )
    const known = items.filter((item) => item !== undefined)
    const newer = await findOvertaken(known)
    await record(known.filter((item) => newer.has(item)).map((item) => ({ item })))
    const deferred: Promise<unknown>[] = []
    try {
      for (const part of partsOf(known.filter((item) => !newer.has(item)))) {
        await write(part, outcomes, signal, (work) => void deferred.push(work))
      }
    } finally {
      await Promise.allSettled(deferred)
    }
    return outcomes
  }

  /** All of one key and one index. */
  async function write(
    part: Item[],
    outcomes: Outcome[],
    signal: AbortSignal,
    defer: (work: Promise<unknown>) => void,
  ) {
    const { tenant, keyId, index: name } = part[0]!
    const again = (error: unknown) => {
      signal.throwIfAborted()
      const { headers } = toHubError(error)
      const retryAfterMs = Number(headers['Retry-After'] ?? 0) * 1_000
      for (const { i } of part) outcomes[i] = { failed: error, retryAfterMs }
    }
    let caller: Caller
    let index: Index
    try {
      caller = await admission.recall(tenant, keyId, scope)
      index = await indexes.resolve(tenant, name)
    } catch (error) {
      if (mayPass(error)) return again(error)
      return record(part.map((item) => ({ item, error })))
    }
    const put = (items: Item[]) =>
      documents.put(
        index,
        items.map(({ document }) => document),
        { caller, signal, defer },
      )
    try {
      await put(part)
      return await record(part.map((item) => ({ item })))
    } catch (error) {
      if (mayPass(error)) return again(error)
      if (part.length === 1) return record([{ item: part[0]!, error }])
    }
    // One of them is bad, and must not fail the others.
    for (const item of part) await write([item], outcomes, signal, defer)
  }

  /** Of documents that a later job has sent again: an older text that is tried again must not undo the newer one. */
  async function findOvertaken(items: readonly Item[]): Promise<Set<Item>> {
    if (items.length === 0) return new Set()
    const calls = items.map(
      ({ tenant, index, document }): Command => ['GET', documentJobKey(tenant, index, document.id)],
    )
    const replies = await redis.wave(calls, { timeoutMs: 2_000 })
    return new Set(items.filter(({ at }, i) => Number(replies[i]) > at))
  }

  async function record(results: readonly { item: Item; error?: unknown }[]) {
    const byJob = Map.groupBy(results, ({ item }) => `${item.tenant}/${item.job}`)
    for (const group of byJob.values()) {
      const { tenant, job } = group[0]!.item
      const told = group.map(({ item, error }) => ({
        item: item.n,
        error: error === undefined ? undefined : toItemError(item, error),
      }))
      await jobs.record(tenant, job, told)
    }
  }

  return {
    handle,
    /** No attempt is left. */
    async onDead(entry: StreamEntry, cause: string): Promise<void> {
      const item = toItem(entry, 0)
      if (item)
        await record([{ item, error: new HubError({ code: 'gave_up', status: 500, message: cause }) }])
    },
  }
}

/** Characters that are embedded together: progress shows after each part, and a failure repeats no more than that. */
const MOST_CHARACTERS = 100_000

function partsOf(items: readonly Item[]): Item[][] {
  const groups = Map.groupBy(items, ({ tenant, keyId, index }) => JSON.stringify([tenant, keyId, index]))
  return [...groups.values()].flatMap((group) => {
    const parts: Item[][] = []
    let size = Number.POSITIVE_INFINITY
    for (const item of group) {
      const { length } = item.document.text
      if (size + length > MOST_CHARACTERS) {
        parts.push([])
        size = 0
      }
      parts.at(-1)!.push(item)
      size += length
    }
    return parts
  })
}

function toItem({ fields }: StreamEntry, i: number): Item | undefined {
  const { tenant, key, index, job, n, at, document } = fields
  if (!tenant || key === undefined || !index || !job || !n || !document) return undefined
  try {
    const keyId = key === '' ? null : key
    return { i, tenant, keyId, index, job, n: Number(n), at: Number(at), document: JSON.parse(document) }
  } catch {
    return undefined
  }
}

/** Paths of the batch that it happened to be in say nothing to whoever reads the job. */
function toItemError({ document }: Item, error: unknown): ItemError {
  const { code, message } = toHubError(error)
  return { document_id: document.id, code, message: message.replace(/^documents\[\d+\][.:]\s*/, '') }
}
