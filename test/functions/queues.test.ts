import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { startQuietRedis } from '../support/redis.ts'

let own: Awaited<ReturnType<typeof startQuietRedis>>
let app: TestApp
beforeAll(async () => {
  own = await startQuietRedis()
  app = await startApp({ env: { REDIS_URL: own.url }, drains: { kickMs: 5_000, scheduledMs: 5_000 } })
})
afterAll(() => app[Symbol.asyncDispose]().finally(own.stop))

const push = async (queue: string, body: unknown) => {
  const reply = await app.send('POST', `/v1/queues/${queue}/jobs`, body)
  return { status: reply.status, body: await reply.json() }
}
const read = async (path: string) => (await app.get(path)).json()

describe('/v1/queues', () => {
  it('takes one job, works on it, and has its result', async () => {
    const queue = unique('queue')
    const sent = await push(queue, { id: 'a', handler: { type: 'store' }, data: { n: 1 } })
    expect(sent).toEqual({
      status: 202,
      body: { accepted: 1, duplicates: 0, jobs: [{ id: 'a', result_id: `${queue}:a` }] },
    })
    await app.settled()
    expect(await read(`/v1/results/${queue}:a`)).toMatchObject({
      ...{ status: 'done', stream: queue, event_id: 'a' },
      result: { id: 'a', source: `/v1/queues/${queue}`, type: 'job', data: { n: 1 } },
    })
    expect(await read(`/v1/queues/${queue}`)).toEqual({ waiting: 0, leased: 0, dead: 0 })
  })

  it('takes many, tells dead ones, and replays them', async () => {
    const queue = unique('queue')
    const job = { handler: { type: 'embed', index: 'none' }, retry: { attempts: 1 } }
    expect(await push(queue, Array(3).fill(job))).toMatchObject({ status: 202, body: { accepted: 3 } })
    await app.settled()
    const { data } = await read(`/v1/queues/${queue}/dead`)
    expect(data).toHaveLength(3)
    expect(data[0]).toMatchObject({ cause: expect.stringContaining('none'), attempts: 1 })
    const ids = data.map(({ id }: { id: string }) => id)
    const reply = await app.send('POST', `/v1/queues/${queue}/dead/replay`, { ids: [...ids, 'unknown'] })
    expect(await reply.json()).toEqual({ replayed: ids })
    await app.settled()
    expect(await read(`/v1/queues/${queue}`)).toEqual({ waiting: 0, leased: 0, dead: 3 })
  })

  it.each([
    [{ handler: { type: 'none' } }, '[0].handler.type'],
    [{ handler: { type: 'embed' } }, '[0].handler.index'],
    [{ handler: { type: 'http', url: 'http://example.com' } }, '[0].handler.url'],
    [[{ handler: { type: 'store' } }, { data: 1 }], '[1].handler'],
    [{ handler: { type: 'store' }, id: '' }, '[0].id'],
    [{ handler: { type: 'store' }, id: '\ud800' }, '[0].id'],
    [[], 'body'],
    [{ handler: { type: 'store' }, more: 1 }, '[0].more'],
  ])('%j is 400 at %s, and nothing is queued', async (body, param) => {
    const queue = unique('queue')
    const { status, body: reply } = await push(queue, body)
    expect({ status, param: reply.error?.param }).toEqual({ status: 400, param })
    expect(await read(`/v1/queues/${queue}`)).toEqual({ waiting: 0, leased: 0, dead: 0 })
  })

  it('a job that is too large is 413, a bad name 400', async () => {
    const queue = unique('queue')
    const large = await push(queue, { handler: { type: 'store' }, data: 'x'.repeat(1_100_000) })
    expect(large).toMatchObject({ status: 413, body: { error: { code: 'job_too_large', param: '[0]' } } })
    expect((await push('a%20b', { handler: { type: 'store' } })).status).toBe(400)
  })
})
