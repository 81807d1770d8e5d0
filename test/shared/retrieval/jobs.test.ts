import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, type TestContext } from 'vitest'
import { createAdmission } from '../../../shared/admission.ts'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { HubError, RedisTimeoutError } from '../../../shared/errors.ts'
import { createHubKeys, createKeyring } from '../../../shared/hub-keys.ts'
import { DEFAULT_TENANT, EMBED_STREAM } from '../../../shared/keys.ts'
import { createLimits } from '../../../shared/metering/limits.ts'
import type { DocumentInput, Documents } from '../../../shared/retrieval/documents.ts'
import type { Index } from '../../../shared/retrieval/indexes.ts'
import { createJobWorker } from '../../../shared/retrieval/job-worker.ts'
import { createJobs, type Job, type NewJob } from '../../../shared/retrieval/jobs.ts'
import { createConsumerGroup } from '../../../shared/streams/consumer-group.ts'
import { createDeadLetters } from '../../../shared/streams/dead-letters.ts'
import { until } from '../../support/hub.ts'
import { patient, startTestRedis } from '../../support/redis.ts'

const index = {
  vectors: {
    ...{ tenant: DEFAULT_TENANT, name: 'docs', dimensions: 3, metric: 'cosine', fields: {} },
    ...{ partitions: 1, quantization: 'none' },
  },
  ...{ embeddingModel: 'local/local', chunking: { size: 1_000, overlap: 100 }, createdAt: 1 },
} as unknown as Index

const documents = (count: number, more: Partial<DocumentInput> = {}): DocumentInput[] =>
  Array.from({ length: count }, (_, n) => ({ id: `d${n}`, text: `text ${n}`, ...more }))

type Put = (
  ids: string[],
  documents: readonly DocumentInput[],
  call: Parameters<Documents['put']>[2],
) => unknown

/** Jobs on a Redis of their own (the stream is the whole hub's), and a worker whose documents do as `put` says. */
async function start({ onTestFinished }: TestContext, put: Put) {
  const own = await startTestRedis()
  const redis = patient(createRedisResp({ url: own.url }))
  onTestFinished(async () => {
    await redis.close()
    await own.stop()
  })
  const keyring = createKeyring('a secret of this test')
  const admission = createAdmission({ redis, keyring, limits: createLimits(redis), clock: Date })
  let kicks = 0
  const jobs = createJobs({ redis, clock: Date, onQueued: () => kicks++ })
  const puts: string[][] = []
  const { handle, onDead } = createJobWorker({
    ...{ redis, jobs, admission, scope: 'search' },
    indexes: { resolve: async () => index },
    documents: {
      async put(_index, documents, call) {
        const ids = documents.map(({ id }) => id!)
        puts.push(ids)
        await put(ids, documents, call)
        return []
      },
    },
  })
  const group = createConsumerGroup({
    ...{ redis, stream: EMBED_STREAM, group: 'embed', consumer: crypto.randomUUID(), clock: Date },
    ...{ handle, onDead, batch: 16, retry: { attempts: 3, firstMs: 10, longestMs: 10 } },
    log: { error: () => {} },
  })
  const caller = admission.claim(undefined)
  if (!('caller' in caller)) throw new Error('keyless')
  return {
    ...{ redis, jobs, puts, group, dead: createDeadLetters({ redis, stream: EMBED_STREAM }) },
    kicks: () => kicks,
    hubKeys: createHubKeys({ redis, keyring, now: Date.now }),
    owner: caller.caller,
    create: (documents: DocumentInput[], more: Partial<NewJob> = {}) =>
      jobs.create({ index, documents, caller: caller.caller, defer: () => {}, ...more }),
    /** Works until the job is over. */
    finish: ({ id }: Job) =>
      until('the job is over', async () => {
        await group.drain({ untilMs: Date.now() + 5_000 })
        const job = await jobs.get(DEFAULT_TENANT, id)
        return job.finishedAt !== undefined && job
      }),
  }
}

describe('a job', () => {
  it('is queued whole, and done when each document is written', async (context) => {
    const { create, finish, puts, kicks } = await start(context, () => {})
    const job = await create(documents(40))
    expect(job).toMatchObject({ status: 'queued', index: 'docs', total: 40, done: 0, failed: 0, errors: [] })
    expect(kicks()).toBe(1)
    expect(await finish(job)).toMatchObject({ id: job.id, status: 'done', done: 40, failed: 0 })
    expect(puts.flat().sort()).toEqual(
      documents(40)
        .map(({ id }) => id)
        .sort(),
    )
    expect(puts.length).toBeLessThan(40) // in batches
  })

  it('gives ids to documents without one, and carries vectors and metadata', async (context) => {
    const seen: DocumentInput[] = []
    const { create, finish } = await start(context, (_ids, documents) => seen.push(...documents))
    const job = await create([{ text: 'a', metadata: { year: 2020 }, vector: [1, 2, 3] }])
    await finish(job)
    expect(seen).toEqual([{ id: `${job.id}.0`, text: 'a', metadata: { year: 2020 }, vector: [1, 2, 3] }])
  })

  it('tries again what may pass, and repeats nothing that was done', async (context) => {
    let calls = 0
    const { create, finish } = await start(context, () => {
      if (++calls === 1) throw new HubError({ code: 'provider_unavailable', status: 502, message: 'away' })
      if (calls === 2) throw new RedisTimeoutError('slow')
    })
    expect(await finish(await create(documents(1)))).toMatchObject({ status: 'done', done: 1, failed: 0 })
    expect(calls).toBe(3)
  })

  it('fails a bad document at once, and not its neighbours', async (context) => {
    const { create, finish, dead } = await start(context, (ids) => {
      const at = ids.indexOf('d3')
      if (at >= 0)
        throw new HubError({ code: 'invalid_value', status: 400, message: `documents[${at}].text: is bad.` })
    })
    expect(await finish(await create(documents(10)))).toMatchObject({
      ...{ status: 'failed', done: 9, failed: 1 },
      errors: [{ document_id: 'd3', code: 'invalid_value', message: 'text: is bad.' }],
    })
    expect(await dead.list({ limit: 10 })).toEqual([])
  })

  it('after the last attempt a document is failed and a dead letter; replayed, it becomes done', async (context) => {
    let heals = false
    const { create, finish, dead, jobs, group } = await start(context, (ids) => {
      if (ids.includes('d1') && !heals) throw new HubError({ code: 'x', status: 503, message: 'still away' })
    })
    const job = await finish(await create(documents(3)))
    expect(job).toMatchObject({
      status: 'failed',
      done: 2,
      failed: 1,
      errors: [{ document_id: 'd1', message: 'still away' }],
    })
    const letters = await dead.list({ limit: 10 })
    expect(letters).toMatchObject([{ cause: 'still away', attempts: 3 }])
    heals = true
    await dead.replay(letters.map(({ id }) => id))
    await group.drain({ untilMs: Date.now() + 5_000 })
    expect(await jobs.get(DEFAULT_TENANT, job.id)).toMatchObject({
      status: 'done',
      done: 3,
      failed: 0,
      errors: [],
    })
  })

  it('counts each document once, however often it is delivered', async (context) => {
    const { create, finish, redis, jobs, group } = await start(context, () => {})
    const job = await create(documents(2))
    const [entries] = await redis.wave([['XRANGE', EMBED_STREAM, '-', '+']])
    for (const [, fields] of entries as [string, string[]][])
      await redis.wave([['XADD', EMBED_STREAM, '*', ...fields]])
    await finish(job)
    await group.drain({ untilMs: Date.now() + 5_000 })
    expect(await jobs.get(DEFAULT_TENANT, job.id)).toMatchObject({ status: 'done', done: 2, failed: 0 })
  })

  it('of a later job is not undone by an older one that is tried again', async (context) => {
    let isAway = true
    const written: string[] = []
    const { create, finish, jobs, group } = await start(context, (_ids, [document]) => {
      if (document!.text === 'old' && isAway) throw new HubError({ code: 'x', status: 503, message: 'away' })
      written.push(document!.text)
    })
    const old = await create([{ id: 'd', text: 'old' }])
    await group.drain({ untilMs: Date.now() + 5_000 })
    const fresh = await create([{ id: 'd', text: 'new' }])
    isAway = false
    await finish(fresh)
    await finish(old)
    expect(written).toEqual(['new'])
    expect(await jobs.get(DEFAULT_TENANT, old.id)).toMatchObject({ status: 'done', done: 1 })
  })
})

describe('a document that was written or deleted directly', () => {
  it('is not undone by what was queued before, only by what is queued later', async (context) => {
    const written: string[] = []
    const { create, finish, jobs } = await start(context, (_ids, [document]) => written.push(document!.text))
    const old = await create([{ id: 'd', text: 'old' }])
    await jobs.overtake(index, ['d', 'never queued'], old.createdAt + 1)
    expect(await finish(old)).toMatchObject({ status: 'done', done: 1 })
    await sleep(5)
    await finish(await create([{ id: 'd', text: 'new' }]))
    expect(written).toEqual(['new'])
  })
})

describe('the key behind a job', () => {
  it('is the caller of its writes', async (context) => {
    const callers: (string | null)[] = []
    const { create, finish, hubKeys } = await start(context, (_ids, _documents, { caller }) =>
      callers.push(`${caller.tenant} ${caller.keyId} ${caller.tokenLimits.length}`),
    )
    const limits = [{ on: 'tokens' as const, limit: 1_000, window_seconds: 60 }]
    const { id } = await hubKeys.create({ tenant: DEFAULT_TENANT, limits })
    const caller = { ...(await start(context, () => {})).owner, keyId: id }
    await finish(await create(documents(1), { caller }))
    expect(callers).toEqual([`${DEFAULT_TENANT} ${id} 1`])
  })

  it('that was revoked meanwhile fails its documents clearly', async (context) => {
    const { create, finish, hubKeys, owner, puts } = await start(context, () => {})
    const { id } = await hubKeys.create({ tenant: DEFAULT_TENANT })
    const job = await create(documents(2), { caller: { ...owner, keyId: id } })
    await hubKeys.revoke(id)
    expect(await finish(job)).toMatchObject({
      ...{ status: 'failed', failed: 2 },
      errors: [{ code: 'invalid_api_key', message: expect.stringContaining('revoked') }, {}],
    })
    expect(puts).toEqual([])
  })
})

describe('bad input', () => {
  it('is refused before anything is queued', async (context) => {
    const { create, redis } = await start(context, () => {})
    await expect(create([...documents(1), { id: 'x', text: ' ' }])).rejects.toMatchObject({
      ...{ status: 400, param: 'documents[1].text' },
    })
    const big = { id: 'big', text: 'x'.repeat(1024 * 1024) }
    await expect(create([big])).rejects.toMatchObject({ status: 413, code: 'document_too_large' })
    expect((await redis.wave([['EXISTS', EMBED_STREAM]]))[0]).toBe(0)
  })

  it('an unknown job is 404', async (context) => {
    const { jobs } = await start(context, () => {})
    await expect(jobs.get(DEFAULT_TENANT, 'nope')).rejects.toMatchObject({
      status: 404,
      code: 'job_not_found',
    })
  })

  it('an entry that is no document goes to the dead letters', async (context) => {
    const { redis, group, dead } = await start(context, () => {})
    await redis.wave([['XADD', EMBED_STREAM, '*', 'hello', 'world']])
    await group.drain({ untilMs: Date.now() + 5_000 })
    expect(await dead.list({ limit: 1 })).toMatchObject([{ fields: { hello: 'world' }, attempts: 1 }])
  })
})

describe('an idempotency key', () => {
  it('leads to the same job, and refuses other documents', async (context) => {
    const { create, redis } = await start(context, () => {})
    const first = await create(documents(2), { idempotencyKey: 'k' })
    expect(await create(documents(2), { idempotencyKey: 'k' })).toMatchObject({ id: first.id, total: 2 })
    expect((await redis.wave([['XLEN', EMBED_STREAM]]))[0]).toBe(2)
    await expect(create(documents(3), { idempotencyKey: 'k' })).rejects.toMatchObject({ status: 422 })
  })

  it('queues anew what a call that broke off left', async (context) => {
    const { create, finish, redis, jobs } = await start(context, () => {})
    const first = await create(documents(2), { idempotencyKey: 'k' })
    await redis.wave([
      ['HDEL', `job:${first.id}`, 'queued'],
      ['XTRIM', EMBED_STREAM, 'MAXLEN', 1],
    ])
    await create(documents(2), { idempotencyKey: 'k' })
    await finish(first)
    expect(await jobs.get(DEFAULT_TENANT, first.id)).toMatchObject({ status: 'done', done: 2 })
  })
})
