import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@redis/client'
import { describe, expect, it, type TestContext } from 'vitest'
import { EMBED_STREAM, streamKeys } from '../../shared/keys.ts'
import { startTestBridge } from '../support/bridge.ts'
import {
  ADMIN_KEY,
  startLambdaHub,
  startNodeHub,
  startWorkerHub,
  type TestHub,
  until,
} from '../support/hub.ts'
import { untilLeftAlone } from '../support/idle.ts'
import { startProvider } from '../support/provider.ts'
import { startTestRedis } from '../support/redis.ts'

const DIMENSIONS = 8

interface JobReply {
  id: string
  status: string
  total: number
  done: number
  failed: number
  errors: { document_id: string; message: string }[]
}

/** A Redis and an embedding provider of the test's own: the stream of jobs is the whole hub's. */
async function start({ onTestFinished }: TestContext, options: Parameters<typeof startProvider>[0] = {}) {
  const redis = await startTestRedis()
  onTestFinished(redis.stop)
  const provider = await startProvider(options)
  onTestFinished(provider.close)
  const client = await createClient({ url: redis.url })
    .on('error', () => {})
    .connect()
  onTestFinished(() => client.destroy())
  const env = {
    ...{ REDIS_URL: redis.url, OPENAI_API_KEY: 'sk-test', OPENAI_BASE_URL: provider.url },
  }
  return {
    ...{ redis, provider, client, env },
    async hub(more: Record<string, string | undefined> = {}) {
      const hub = await startNodeHub({ ...env, ...more })
      onTestFinished(hub.stop)
      return hub
    },
  }
}

async function call(
  hub: { url: string },
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
) {
  const reply = await fetch(hub.url + path, {
    method,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json', ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  return { status: reply.status, headers: reply.headers, body: await reply.json() }
}

const documents = (count: number) =>
  Array.from({ length: count }, (_, n) => ({
    id: `d${n}`,
    text: `This is the text of document number ${n}.`,
  }))

async function createIndex(hub: { url: string }) {
  const settings = { fields: {}, embedding_model: 'openai/text-embedding-3-small', dimensions: DIMENSIONS }
  expect((await call(hub, 'PUT', '/v1/indexes/docs', settings)).status).toBeLessThan(300)
}

async function enqueue(hub: { url: string }, count: number): Promise<JobReply> {
  const path = '/v1/indexes/docs/documents?async=true'
  const { status, headers, body } = await call(hub, 'POST', path, documents(count))
  expect({ status, body }).toMatchObject({ status: 202, body: { total: count } })
  expect(headers.get('location')).toBe(`/v1/jobs/${body.id}`)
  return body
}

const jobOf = async (hub: { url: string }, { id }: JobReply): Promise<JobReply> =>
  (await call(hub, 'GET', `/v1/jobs/${id}`)).body

const finished = (hub: { url: string }, job: JobReply, timeoutMs = 60_000) =>
  until(
    'the job is over',
    async () => {
      const now = await jobOf(hub, job)
      return now.done + now.failed >= now.total && now
    },
    timeoutMs,
  )

async function expectAllIndexed(hub: TestHub, count: number) {
  const { body } = await call(hub, 'POST', '/v1/indexes/docs/search', {
    query: 'document text',
    mode: 'text',
    top_k: 1000,
  })
  const ids: string[] = body.results.map((one: { document_id: string }) => one.document_id)
  expect(new Set(ids)).toEqual(new Set(documents(count).map(({ id }) => id)))
  expect(ids).toHaveLength(count) // each one once
}

describe('a job over two Node hubs', () => {
  it('one is killed mid-job: the other takes its documents over, and each is indexed once', async (context) => {
    const COUNT = 300
    const { hub, client } = await start(context, { delayMs: 400 })
    const [first, second] = await Promise.all([
      hub({ HUB_CLAIM_SECONDS: '2' }),
      hub({ HUB_CLAIM_SECONDS: '2' }),
    ])
    await createIndex(first)
    const job = await enqueue(first, COUNT)
    await until('it is under way', async () => (await jobOf(second, job)).done > 0)
    await first.kill()
    const consumers = await client.xInfoConsumers(EMBED_STREAM, 'embed')
    expect(consumers.filter(({ pending }) => pending > 0)).toHaveLength(2) // the dead one's too
    expect(await finished(second, job)).toMatchObject({ status: 'done', done: COUNT, failed: 0, errors: [] })
    await expectAllIndexed(second, COUNT)
    await until('nothing is left', async () => (await client.xLen(EMBED_STREAM)) === 0)
    expect(await client.xLen(streamKeys(EMBED_STREAM, 'embed').dead)).toBe(0)
  }, 120_000)

  it('the provider fails for a while: the job waits, and is done when it is back', async (context) => {
    let isAway = false
    const { hub } = await start(context, { behave: () => (isAway ? { status: 503 } : undefined) })
    const node = await hub()
    await createIndex(node)
    isAway = true
    const job = await enqueue(node, 20)
    await sleep(1_500)
    expect(await jobOf(node, job)).toMatchObject({ done: 0, failed: 0 })
    isAway = false
    expect(await finished(node, job)).toMatchObject({ status: 'done', done: 20 })
    await expectAllIndexed(node, 20)
  }, 120_000)

  it('stopped gracefully, it leaves the rest to the next one at once', async (context) => {
    const { hub } = await start(context, { delayMs: 50 })
    const first = await hub()
    await createIndex(first)
    const job = await enqueue(first, 100)
    await until('it has begun', async () => (await jobOf(first, job)).done > 0)
    await first.stop()
    const second = await hub()
    // Well below the minute after which a silent consumer is taken for dead.
    expect(await finished(second, job, 30_000)).toMatchObject({ status: 'done', done: 100, failed: 0 })
    await expectAllIndexed(second, 100)
  }, 120_000)
})

describe.each([
  ['Workers', startWorkerHub],
  ['Lambda', startLambdaHub],
] as const)('a job on %s', (_, startHub) => {
  it('is worked on after its intake and at the schedule; between them Redis is left alone', async (context) => {
    const COUNT = 10
    const { env, redis, client } = await start(context)
    const bridge = await startTestBridge({ redisUrl: redis.url })
    context.onTestFinished(bridge.close)
    const hub = await startHub({
      ...{ ...env, REDIS_URL: undefined, HUB_REDIS_CALLS: '1000' },
      ...{ UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token },
    })
    context.onTestFinished(hub.stop)
    await createIndex(hub)
    const job = await enqueue(hub, COUNT)
    expect(await finished(hub, job)).toMatchObject({ status: 'done', done: COUNT })
    // As of an intake whose kick was lost: only the schedule finds it.
    const replayed = documents(1).map((document) => ({ ...document, text: 'Another text of the document.' }))
    await client.xAdd(EMBED_STREAM, '*', {
      ...{ tenant: 'default', key: '', index: 'docs', job: job.id, at: String(Date.now()), n: '0' },
      document: JSON.stringify(replayed[0]),
    })
    await untilLeftAlone(client)
    await hub.fireSchedule()
    await until('it is written', async () =>
      (await call(hub, 'GET', '/v1/indexes/docs/documents/d0')).body.text.startsWith('Another'),
    )
  }, 120_000)
})
