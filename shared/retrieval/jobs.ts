import { createHash } from 'node:crypto'
import type { Caller } from '../admission.ts'
import { HubError } from '../errors.ts'
import { newId } from '../ids.ts'
import { documentJobKey, EMBED_STREAM, JOB_TTL_SECONDS, jobKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis } from '../ports/redis.ts'
import { recordResultsScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import { traceparentNow } from '../telemetry/trace-context.ts'
import { prepareDocuments } from './document-input.ts'
import type { DocumentInput } from './documents.ts'
import type { Index } from './indexes.ts'

export interface Job {
  id: string
  /** `failed`: all is over, and something failed. */
  status: 'queued' | 'running' | 'done' | 'failed'
  index: string
  total: number
  done: number
  failed: number
  /** The first hundred. */
  errors: ItemError[]
  /** Unix ms */
  createdAt: number
  finishedAt?: number
}

export interface ItemError {
  document_id: string
  code: string
  message: string
}

export interface NewJob {
  index: Index
  documents: readonly DocumentInput[]
  caller: Caller
  /** The same key with the same documents is the same job. */
  idempotencyKey?: string
  defer(work: Promise<unknown>): void
}

/** How one item went; undefined: well. */
export type ItemResult = { item: number; error?: ItemError }

export interface JobsOptions {
  redis: Redis
  clock: Clock
  /** There is something to do. */
  onQueued(defer: NewJob['defer']): void
}

/** Documents that are taken in now and embedded later: each is an entry of `EMBED_STREAM`; a job is how many of them are over. */
export function createJobs({ redis, clock, onQueued }: JobsOptions) {
  const wave = async (calls: readonly Command[]) => {
    const replies = await redis.wave(calls, PATIENT)
    for (const reply of replies) if (reply instanceof Error) throw reply
    return replies
  }

  async function find(tenant: string, id: string): Promise<Job | undefined> {
    const flat = (await send(redis, ['HGETALL', jobKeys(tenant, id).job], PATIENT)) as string[]
    const fields = Object.fromEntries(flat.flatMap((name, i) => (i % 2 ? [] : [[name, flat[i + 1]!]])))
    return fields.total === undefined ? undefined : toJob(id, fields)
  }

  return {
    /**
     * Checks all of them, and resolves once Redis has them.
     *
     * Errors: those of `Documents.put` for bad documents; 413 `document_too_large`; 422 `idempotency_mismatch`; when Redis leaves
     * half-way some may be queued: the same call again is safe.
     */
    async create({ index, documents, caller, idempotencyKey, defer }: NewJob): Promise<Job> {
      const { tenant, keyId } = caller
      const { name } = index.vectors
      const id = idempotencyKey === undefined ? newId() : sha256([keyId, name, idempotencyKey]).slice(0, 22)
      const given = documents.map((document, n) => ({ ...document, id: document.id ?? `${id}.${n}` }))
      prepareDocuments(index, given)
      const texts = given.map((document) => JSON.stringify(document))
      for (const [n, text] of texts.entries()) if (Buffer.byteLength(text) > MOST_BYTES) throw tooLarge(n)

      const { job } = jobKeys(tenant, id)
      const fields = {
        ...{ index: name, total: String(given.length), request: sha256(documents) },
        created_at: String(clock.now()),
      }
      const replies = await wave([
        ['HMGET', job, 'request', 'created_at', 'queued'],
        // What an earlier call with this idempotency key wrote stays.
        ...Object.entries(fields).map(([field, value]): Command => ['HSETNX', job, field, value]),
        ['EXPIRE', job, JOB_TTL_SECONDS],
      ])
      const [request, createdAt, queued] = replies[0] as (string | null)[]
      if (request && request !== fields.request) throw idempotencyMismatch()
      const at = createdAt ?? fields.created_at

      if (!queued) {
        const about = ['tenant', tenant, 'key', keyId ?? '', 'index', name, 'job', id, 'at', at]
        const traceparent = traceparentNow()
        if (traceparent) about.push('traceparent', traceparent)
        const entries = texts.map((text, n) => ({
          size: text.length,
          calls: [
            ['XADD', EMBED_STREAM, '*', ...about, 'n', n, 'document', text],
            // Which job came last for a document: an older one that is tried again must not undo it.
            ['SET', documentJobKey(tenant, name, given[n]!.id), at, 'EX', JOB_TTL_SECONDS],
          ] as Command[],
        }))
        for (const part of inParts(entries)) await wave(part.flatMap(({ calls }) => calls))
        await wave([['HSET', job, 'queued', '1']])
        onQueued(defer)
      }
      return (await find(tenant, id))!
    },

    /** Written or deleted directly by a call that began then (Unix ms): what was queued for them before must not come after it. */
    async overtake(index: Index, ids: readonly string[], began: number): Promise<void> {
      const { tenant, name } = index.vectors
      const keys = ids.map((id) => documentJobKey(tenant, name, id))
      await wave(keys.map((key): Command => ['SET', key, began, 'XX', 'EX', JOB_TTL_SECONDS]))
    },

    /** 404 `job_not_found`. */
    async get(tenant: string, id: string): Promise<Job> {
      const job = await find(tenant, id)
      if (job) return job
      const message = `There is no job \`${id}\`. Jobs are kept for ${JOB_TTL_SECONDS / 86_400} days after they last moved on.`
      throw new HubError({ code: 'job_not_found', status: 404, message, param: 'id' })
    },

    /** May be told again. */
    async record(tenant: string, id: string, results: readonly ItemResult[]): Promise<void> {
      if (results.length === 0) return
      const { job, results: held } = jobKeys(tenant, id)
      const args = results.flatMap(({ item, error }) => [item, error ? JSON.stringify(error) : ''])
      const call = {
        script: recordResultsScript,
        keys: [job, held],
        args: [JOB_TTL_SECONDS, clock.now(), ...args],
      }
      await send(redis, call, PATIENT)
    },
  }
}

export type Jobs = ReturnType<typeof createJobs>

const PATIENT = { timeoutMs: 5_000 }

/** Of a document as JSON: entries travel through memory in dozens, and over REST a request is bounded. */
const MOST_BYTES = 1024 * 1024

/** Characters that go to Redis in one wave. */
const MOST_CHARACTERS = 700_000

function* inParts<T extends { size: number }>(entries: readonly T[]): Generator<T[]> {
  let part: T[] = []
  let size = 0
  for (const entry of entries) {
    if (part.length > 0 && size + entry.size > MOST_CHARACTERS) {
      yield part
      part = []
      size = 0
    }
    part.push(entry)
    size += entry.size
  }
  if (part.length > 0) yield part
}

function toJob(id: string, fields: Record<string, string>): Job {
  const [total, done, failed] = [fields.total, fields.done, fields.failed].map((text) => Number(text ?? 0))
  const errors = Object.entries(fields)
    .filter(([name]) => name.startsWith('error:'))
    .sort(([a], [b]) => Number(a.slice(6)) - Number(b.slice(6)))
    .map(([, text]) => JSON.parse(text) as ItemError)
  const isOver = done! + failed! >= total!
  const running = done! + failed! > 0 ? 'running' : 'queued'
  return {
    ...{ id, index: fields.index!, total: total!, done: done!, failed: failed!, errors },
    status: isOver ? (failed! > 0 ? 'failed' : 'done') : running,
    createdAt: Number(fields.created_at),
    finishedAt: fields.finished_at === undefined ? undefined : Number(fields.finished_at),
  }
}

const sha256 = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('base64url')

function tooLarge(n: number) {
  const param = `documents[${n}]`
  const message = `${param}: a document of more than ${MOST_BYTES} bytes as JSON cannot be queued. Send it without \`async\`, or split it.`
  return new HubError({ code: 'document_too_large', status: 413, message, param })
}

const idempotencyMismatch = () =>
  new HubError({
    code: 'idempotency_mismatch',
    status: 422,
    message: 'This Idempotency-Key was used with other documents. Send the same ones, or another key.',
  })
