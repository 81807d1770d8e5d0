import { describe, expect, it, type TestContext } from 'vitest'
import { startApp, type TestAppOptions } from '../support/app.ts'
import { ADMIN_KEY, until } from '../support/hub.ts'
import { startTestRedis } from '../support/redis.ts'

const admin = { authorization: `Bearer ${ADMIN_KEY}` }
const path = '/v1/indexes/docs/documents'

/** Two hubs on a Redis of their own: one only takes in, the other works on the queue after each intake. */
async function start({ onTestFinished }: TestContext) {
  const redis = await startTestRedis()
  onTestFinished(redis.stop)
  const open = async (options: TestAppOptions = {}) => {
    const app = await startApp({ env: { REDIS_URL: redis.url, HUB_ADMIN_KEY: ADMIN_KEY }, ...options })
    onTestFinished(() => app[Symbol.asyncDispose]())
    return app
  }
  const intake = await open()
  const worker = await open({ drains: { kickMs: 10_000, scheduledMs: 10_000 } })
  const settings = {
    fields: { year: 'number' },
    embedding_model: 'openai/text-embedding-3-small',
    dimensions: 16,
  }
  expect((await intake.send('PUT', '/v1/indexes/docs', settings, admin)).status).toBe(201)
  return {
    ...{ intake, worker },
    queue: (documents: unknown, headers: Record<string, string> = {}) =>
      intake.send('POST', `${path}?async=true`, documents, { ...admin, ...headers }),
    /** An intake that brings nothing of its own but work on what is there. */
    async workOff() {
      await worker.send('POST', `${path}?async=true`, [{ id: 'last', text: 'The last one.' }], admin)
      await worker.settled()
    },
    job: async (id: string, headers: Record<string, string> = admin) => {
      const reply = await intake.get(`/v1/jobs/${id}`, headers)
      return { status: reply.status, body: await reply.json() }
    },
    document: async (id: string) => intake.get(`${path}/${id}`, admin),
  }
}

describe('POST …/documents?async=true', () => {
  it('answers 202 with a job and its place; the job tells how far it is, and then the documents are there', async (context) => {
    const { queue, workOff, job, document } = await start(context)
    const reply = await queue([{ id: 'a', text: 'One.', metadata: { year: 2020 } }, { text: 'Two.' }])
    const body = await reply.json()
    expect(reply.status).toBe(202)
    expect(reply.headers.get('location')).toBe(`/v1/jobs/${body.id}`)
    const queued = {
      status: 'queued',
      index: 'docs',
      total: 2,
      done: 0,
      failed: 0,
      errors: [],
      finished_at: null,
    }
    expect(body).toMatchObject(queued)
    expect((await job(body.id)).body).toMatchObject(queued)
    await workOff()
    expect((await job(body.id)).body).toMatchObject({
      status: 'done',
      done: 2,
      finished_at: expect.any(String),
    })
    expect(await (await document('a')).json()).toMatchObject({ text: 'One.', metadata: { year: 2020 } })
  })

  it('takes one document a line too', async (context) => {
    const { queue, workOff, document } = await start(context)
    const lines = '{"id":"a","text":"One."}\n{"id":"b","text":"Two."}\n'
    expect((await queue(lines, { 'content-type': 'application/x-ndjson' })).status).toBe(202)
    await workOff()
    expect((await document('b')).status).toBe(200)
  })

  it('with an Idempotency-Key is one job, and refuses another body', async (context) => {
    const { queue } = await start(context)
    const key = { 'idempotency-key': 'once' }
    const first = await (await queue([{ id: 'a', text: 'One.' }], key)).json()
    expect(await (await queue([{ id: 'a', text: 'One.' }], key)).json()).toMatchObject({ id: first.id })
    expect((await queue([{ id: 'a', text: 'Two.' }], key)).status).toBe(422)
  })

  it.each([
    ['a bad document', [{ id: 'a', text: '' }], 400, 'documents[0].text'],
    [
      'a bad type of a field',
      [{ id: 'a', text: 'x', metadata: { year: 'no' } }],
      400,
      'documents[0].metadata.year',
    ],
    ['one too large to queue', [{ id: 'a', text: 'x '.repeat(600_000) }], 413, 'documents[0]'],
  ])('%s is refused at once, with its path', async (_, documents, status, param) => {
    await using app = await startApp()
    const index = `docs-${crypto.randomUUID().slice(0, 8)}`
    await app.send('PUT', `/v1/indexes/${index}`, {
      fields: { year: 'number' },
      embedding_model: 'openai/text-embedding-3-small',
      dimensions: 16,
    })
    const reply = await app.send('POST', `/v1/indexes/${index}/documents?async=true`, documents)
    expect(reply.status).toBe(status)
    expect((await reply.json()).error.param).toBe(param)
  })

  it('for an unknown index is 404', async (context) => {
    const { intake } = await start(context)
    const reply = await intake.send('POST', '/v1/indexes/none/documents?async=true', [{ text: 'x' }], admin)
    expect(reply.status).toBe(404)
  })
})

describe('the latest write wins', () => {
  it('a direct write or delete is not undone by what was queued before it', async (context) => {
    const { intake, queue, workOff, document } = await start(context)
    const ids = ['put', 'posted', 'deleted', 'untouched']
    await queue(ids.map((id) => ({ id, text: 'queued' })))
    await new Promise((resolve) => setTimeout(resolve, 5)) // the clock must have gone on
    await intake.send('PUT', `${path}/put`, { text: 'direct' }, admin)
    await intake.send('POST', path, [{ id: 'posted', text: 'direct' }], admin)
    await intake.delete(`${path}/deleted`, admin)
    await intake.settled()
    await workOff()
    const texts = await Promise.all(ids.map(async (id) => (await (await document(id)).json()).text))
    expect(texts).toEqual(['direct', 'direct', undefined, 'queued'])
  })
})

describe('GET /v1/jobs/{id}', () => {
  it('is 404 for an unknown job, and for another tenant’s', async (context) => {
    const { intake, queue, job } = await start(context)
    const { id } = await (await queue([{ text: 'x' }])).json()
    const made = await intake.send('POST', '/v1/keys', { tenant: 'other', scopes: ['search'] }, admin)
    const { key } = await made.json()
    expect((await job('nope')).status).toBe(404)
    expect(await job(id, { authorization: `Bearer ${key}` })).toMatchObject({
      ...{ status: 404, body: { error: { code: 'job_not_found' } } },
    })
  })

  it('tells in the words of the error what failed, for a key that was revoked', async (context) => {
    const { intake, queue, workOff, job } = await start(context)
    const made = await (await intake.send('POST', '/v1/keys', { tenant: 'default' }, admin)).json()
    const { id } = await (
      await queue([{ id: 'a', text: 'x' }], { authorization: `Bearer ${made.key}` })
    ).json()
    await intake.delete(`/v1/keys/${made.id}`, admin)
    await until('it is over', async () => {
      await workOff()
      return (await job(id)).body.finished_at !== null
    })
    expect((await job(id)).body).toMatchObject({
      ...{ status: 'failed', failed: 1 },
      errors: [{ document_id: 'a', code: 'invalid_api_key', message: expect.stringContaining('revoked') }],
    })
  })
})
