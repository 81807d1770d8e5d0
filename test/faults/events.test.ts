import { createClient } from '@redis/client'
import { describe, expect, inject, it } from 'vitest'
import { startTestBridge } from '../support/bridge.ts'
import { ADMIN_KEY, startLambdaHub, startNodeHub, startWorkerHub, until } from '../support/hub.ts'
import { untilLeftAlone } from '../support/idle.ts'
import { startProvider } from '../support/provider.ts'
import { startTestRedis } from '../support/redis.ts'
import { runEventFaults } from './event-faults.ts'

it('three hubs are killed again and again, Redis is restarted: every accepted event has its result exactly once', async () => {
  const EVENTS = 5_000
  const report = await runEventFaults({ events: EVENTS, server: inject('redisServer') })
  console.log(report)
  expect(report).toMatchObject({
    ...{ accepted: EVENTS, processed: EVENTS, lost: 0, rewritten: 0, failed: 0, dead: 0, pending: 0 },
    redis_restarts: 1,
  })
  expect(report.kills).toBeGreaterThan(5)
}, 180_000)

async function call(hub: { url: string }, method: string, path: string, body?: unknown) {
  const reply = await fetch(hub.url + path, {
    method,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  return { status: reply.status, body: await reply.json() }
}

const documents = (count: number) =>
  Array.from({ length: count }, (_, n) => ({
    ...{ specversion: '1.0', id: `e${n}`, source: '/test', type: 'article', subject: `d${n}` },
    data: { text: `This is the text of document number ${n}.`, metadata: { n } },
  }))

it('events become documents of an index: the embed handler, end to end', async ({ onTestFinished }) => {
  await using redis = await startTestRedis()
  const provider = await startProvider()
  onTestFinished(provider.close)
  await using hub = await startNodeHub({
    ...{ REDIS_URL: redis.url, OPENAI_API_KEY: 'sk-test', OPENAI_BASE_URL: provider.url },
  })
  const settings = { fields: {}, embedding_model: 'openai/text-embedding-3-small', dimensions: 8 }
  expect((await call(hub, 'PUT', '/v1/indexes/docs', settings)).status).toBeLessThan(300)
  const stream = { handler: { type: 'embed', index: 'docs' }, retry: { attempts: 2, first_seconds: 0.05 } }
  expect((await call(hub, 'PUT', '/v1/events/articles', stream)).status).toBeLessThan(300)
  const bad = { specversion: '1.0', id: 'bad', source: '/test', type: 'article', data: { title: 'no text' } }
  const sent = await call(hub, 'POST', '/v1/events/articles', [...documents(40), bad])
  expect(sent).toMatchObject({ status: 202, body: { accepted: 41 } })
  const ids = sent.body.events.map((one: { result_id: string }) => one.result_id)
  const resultOf = async (id: string) => {
    const { status, body } = await call(hub, 'GET', `/v1/results/${id}`)
    return status === 200 && body
  }
  const results = await Promise.all(ids.map((id: string) => until('its result is there', () => resultOf(id))))
  expect(results[7]).toMatchObject({
    ...{ status: 'done', stream: 'articles', event_id: 'e7' },
    result: { index: 'docs', document_id: 'd7', chunks: 1 },
  })
  expect(results.at(-1)).toMatchObject({
    ...{ status: 'failed', attempts: 1 },
    error: { message: expect.stringContaining('no text of a document at `data.text`') },
  })
  const search = { query: 'document number 7', mode: 'text', top_k: 100 }
  const { body } = await call(hub, 'POST', '/v1/indexes/docs/search', search)
  expect(body.results).toHaveLength(40)
  expect((await call(hub, 'GET', '/v1/indexes/docs/documents/d7')).body).toMatchObject({ metadata: { n: 7 } })
}, 60_000)

describe.each([
  ['Workers', startWorkerHub],
  ['Lambda', startLambdaHub],
] as const)('on %s', (_, startHub) => {
  it('events and jobs are worked on after their intake and at the schedule; between them Redis is left alone', async (context) => {
    const redis = await startTestRedis()
    context.onTestFinished(redis.stop)
    const client = await createClient({ url: redis.url })
      .on('error', () => {})
      .connect()
    context.onTestFinished(() => client.destroy())
    const bridge = await startTestBridge({ redisUrl: redis.url })
    context.onTestFinished(bridge.close)
    const hub = await startHub({
      ...{ UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token },
      ...{ HUB_REDIS_CALLS: '40', FUNCTIONS: 'ingest-event' },
    })
    context.onTestFinished(hub.stop)
    const there = (id: string) =>
      until('its result is there', async () => {
        const { status, body } = await call(hub, 'GET', `/v1/results/${encodeURIComponent(id)}`)
        return status === 200 && body
      })
    for (const stream of ['orders', 'keyed', 'quiet']) {
      const settings = { handler: { type: 'store' }, ...(stream === 'keyed' && { key: 'subject' }) }
      expect((await call(hub, 'PUT', `/v1/events/${stream}`, settings)).status).toBeLessThan(300)
      const sent = await call(hub, 'POST', `/v1/events/${stream}`, documents(20))
      const { result_id } = sent.body.events.at(-1)
      expect(await there(result_id)).toMatchObject({ status: 'done', result: { id: 'e19' } })
    }
    const jobs = documents(20).map(({ id, data }) => ({ id, handler: { type: 'store' }, data }))
    expect(await call(hub, 'POST', '/v1/queues/mail/jobs', jobs)).toMatchObject({ status: 202 })
    expect(await there('mail:e19')).toMatchObject({ status: 'done' })

    // As of intakes whose kick was lost: only the schedule finds them.
    for (const stream of ['orders', 'keyed']) {
      const event = JSON.stringify(documents(1)[0])
      await client.xAdd(`events:${stream}`, '*', { event, result: `lost-${stream}`, key: 'd0' })
    }
    await client.hSet(
      '{queue:mail}:jobs',
      'body:lost',
      JSON.stringify({ handler: { type: 'store' }, at: 'then' }),
    )
    await client.rPush('queue:mail', 'lost')
    await untilLeftAlone(client)
    await hub.fireSchedule()
    for (const id of ['lost-orders', 'lost-keyed', 'mail:lost']) expect(await there(id)).toMatchObject({ id })
    for (const stream of ['orders', 'keyed', 'quiet']) {
      expect(await client.xInfoGroups(`events:${stream}`)).toMatchObject([
        { name: 'hub', pending: 0, lag: 0 },
      ])
    }
  }, 120_000)
})
