import { describe, expect, it, onTestFinished } from 'vitest'
import { startApp, type TestAppOptions, unique } from '../support/app.ts'
import { until } from '../support/hub.ts'
import { startReceiver } from '../support/receiver.ts'
import { startTestRedis } from '../support/redis.ts'

type Turn = { text?: string; calls?: [name: string, args: object | string][]; status?: number }

/** A hub whose model says these turns, one a call; then `done`. */
async function start(turns: Turn[] = [], { env, provider, ...more }: TestAppOptions = {}) {
  let said = 0
  // Its own: what works on agents works on all that are due.
  const redis = await startTestRedis()
  const app = await startApp({
    env: { REDIS_URL: redis.url, HUB_CLAIM_SECONDS: '1', ...env },
    provider: {
      ...provider,
      behave() {
        const { text = 'done', calls, status } = turns[said++] ?? {}
        const toolCalls = calls?.map(([name, args]) => ({
          name,
          arguments: typeof args === 'string' ? args : JSON.stringify(args),
        }))
        return { text, ...(toolCalls && { toolCalls }), ...(status !== undefined && { status }) }
      },
    },
    ...more,
  })
  onTestFinished(async () => {
    await app[Symbol.asyncDispose]()
    await redis.stop()
  })
  const id = unique('agent')
  const post = (path: string, body: object, headers?: Record<string, string>) =>
    app.send('POST', path, body, headers)
  return {
    ...{ app, id, post },
    put: async (settings: object = {}, name = id) => {
      const reply = await app.send('PUT', `/v1/agents/${name}`, {
        role: 'custom',
        model: 'openai/gpt-4o-mini',
        ...settings,
      })
      return { status: reply.status, body: await reply.json() }
    },
    step: async (body: object = {}, headers?: Record<string, string>) => {
      const reply = await post(`/v1/agents/${id}/steps`, body, headers)
      return { status: reply.status, body: await reply.json() }
    },
    get: async (path = '') => (await app.get(`/v1/agents/${id}${path}`)).json(),
  }
}

async function startTool(answer?: Parameters<typeof startReceiver>[0]) {
  const receiver = await startReceiver(answer)
  onTestFinished(() => receiver.close())
  return receiver
}

const webhook = (url: string, more: object = {}) => ({
  type: 'webhook',
  name: 'act',
  description: 'Does it.',
  parameters: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] },
  url,
  allow_private: true,
  ...more,
})

describe('an agent', () => {
  it('is made, read, changed, listed and deleted', async () => {
    const { app, id, put, get, step } = await start()
    const made = await put({ role: 'planner', instructions: 'Plan.', limits: { steps: 3 } })
    expect(made).toMatchObject({
      status: 200,
      body: { id, role: 'planner', status: 'idle', version: 1, steps: 0 },
    })
    expect((await put({ instructions: 'Plan better.' })).body).toMatchObject({
      version: 2,
      instructions: 'Plan better.',
    })
    expect(await get()).toMatchObject({ version: 2, role: 'custom' })
    const { data } = await (await app.get(`/v1/agents?limit=1&after=${id.slice(0, -1)}`)).json()
    expect(data[0].id).toBe(id)
    expect((await app.delete(`/v1/agents/${id}`)).status).toBe(204)
    expect((await app.get(`/v1/agents/${id}`)).status).toBe(404)
    expect((await app.delete(`/v1/agents/${id}`)).status).toBe(404)
    expect(await step({ input: 'hello' })).toMatchObject({
      status: 404,
      body: { error: { code: 'agent_not_found' } },
    })
    expect((await put()).body).toMatchObject({ version: 1, steps: 0 })
  })

  it.each([
    [{ role: 'boss' }, 'role'],
    [{ tools: [{ type: 'webhook', name: 'x y', url: 'https://a.example' }] }, 'tools[0].name'],
    [{ limits: { steps: 0 } }, 'limits.steps'],
    [{ surprise: 1 }, 'surprise'],
  ])('is refused with what is wrong: %j', async (settings, param) => {
    const { put } = await start()
    expect(await put(settings)).toMatchObject({ status: 400, body: { error: { param } } })
  })
})

describe('a step', () => {
  it('says what the model said, and the next one remembers it', async () => {
    const { app, put, step, get } = await start([{ text: 'Hello, Ada.' }, { text: 'Ada.' }])
    await put({ instructions: 'Be brief.' })
    expect(await step({ input: 'I am Ada.' })).toMatchObject({
      status: 200,
      body: { step: 1, status: 'done', output: 'Hello, Ada.', tool_calls: [], version: 2 },
    })
    await step({ input: 'Who am I?' })
    const { messages } = app.provider.requests[1]!.body as { messages: { role: string; content: string }[] }
    expect(messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'user'])
    expect(messages[1]!.content).toContain('I am Ada.')
    const { data } = await get('/steps')
    expect(data.map(({ step, output }: { step: number; output: string }) => [step, output])).toEqual([
      [1, 'Hello, Ada.'],
      [2, 'Ada.'],
    ])
  })

  it('waits on Redis for its claim, its completion and one commit', async () => {
    const { app, put, step } = await start([{ text: 'Hello.' }, { text: 'Hello again.' }])
    await put()
    await step({ input: 'warm up' })
    await app.settled()
    app.waves.length = 0
    await step({ input: 'hello' })
    await app.settled()
    const waves = app.waves.map((calls) =>
      calls.map((call) => ('script' in call ? call.script.name : call[0])).join(' '),
    )
    const awaited = ['ZADD begin-step', 'GET', 'lead', 'commit-step']
    expect(waves.filter((wave) => awaited.includes(wave) || wave.includes('journal'))).toEqual(awaited)
  })

  it('with the same Idempotency-Key happens once', async () => {
    const { app, put, step } = await start()
    await put()
    const headers = { 'idempotency-key': 'one' }
    const first = await step({ input: 'go' }, headers)
    expect(await step({ input: 'go' }, headers)).toEqual(first)
    expect(app.provider.count).toBe(1)
    expect(await step({ input: 'stop' }, headers)).toMatchObject({
      status: 422,
      body: { error: { code: 'idempotency_mismatch' } },
    })
  })

  it('runs alone: of two at once one wins', async () => {
    const { put, step } = await start([], { provider: { delayMs: 300 } })
    await put()
    const both = await Promise.all([step({ input: 'a' }), step({ input: 'b' })])
    expect(both.map(({ status }) => status).sort()).toEqual([200, 409])
    expect(both.find(({ status }) => status === 409)!.body.error.code).toBe('step_running')
  })

  it('calls tools, and goes on until it is done', async () => {
    const tool = await startTool({ answer: (n) => ({ text: `result ${n}` }) })
    const { app, post, id, put } = await start([
      {
        calls: [
          ['act', { n: 1 }],
          ['act', { n: 2 }],
        ],
      },
      { text: 'All done.' },
    ])
    await put({ tools: [webhook(tool.url)] })
    const reply = await post(`/v1/agents/${id}/steps`, { input: 'go', until: 'done' })
    expect(reply.headers.get('content-type')).toContain('text/event-stream')
    const events = (await reply.text()).split('\n\n').filter(Boolean)
    const steps = events.map((event) => JSON.parse(event.replace(/^event: step\ndata: /, '')))
    expect(steps.map(({ status }) => status)).toEqual(['running', 'done'])
    expect(
      steps[0].tool_calls.map(({ status, output }: Record<string, string>) => `${status} ${output}`).sort(),
    ).toEqual(['ok result 1', 'ok result 2'])
    expect(new Set(tool.received.map(({ headers }) => headers['idempotency-key'])).size).toBe(2)
    const { messages } = app.provider.requests[1]!.body as {
      messages: { role: string; tool_call_id?: string }[]
    }
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'tool'])
  })

  it('with until and JSON answers the last step', async () => {
    const tool = await startTool()
    const { put, step } = await start([{ calls: [['act', { n: 1 }]] }, { text: 'Fine.' }])
    await put({ tools: [webhook(tool.url)] })
    expect(await step({ input: 'go', until: 'done' }, { accept: 'application/json' })).toMatchObject({
      body: { step: 2, status: 'done', output: 'Fine.' },
    })
  })

  it.each([
    ['a tool that is not there', ['fly', {}], /no tool `fly`.*act/],
    ['arguments that break the schema', ['act', { n: 'one' }], /n/],
    ['arguments that are no JSON', ['act', '{"n":'], /JSON/],
  ] as const)('tells the model of %s', async (_, call, told) => {
    const tool = await startTool()
    const { app, put, step } = await start([{ calls: [[call[0], call[1]]] }, { text: 'I see.' }])
    await put({ tools: [webhook(tool.url)] })
    const first = await step({ input: 'go' })
    expect(first.body).toMatchObject({ status: 'running', tool_calls: [{ status: 'error' }] })
    await step()
    const { messages } = app.provider.requests[1]!.body as { messages: { role: string; content: string }[] }
    expect(messages.findLast(({ role }) => role === 'tool')!.content).toMatch(told)
    expect(tool.received).toHaveLength(0)
  })

  it('ends a run that goes in circles at its limit', async () => {
    const tool = await startTool()
    const { put, step } = await start(Array(9).fill({ calls: [['act', { n: 1 }]] }))
    await put({ tools: [webhook(tool.url)], limits: { steps: 3 } })
    const { body } = await step({ input: 'go', until: 'done', stream: false })
    expect(body).toMatchObject({ step: 3, status: 'failed', error: { code: 'limit_reached' } })
    expect(tool.received).toHaveLength(3)
  })

  it('ends a run that waits in circles at its limit', async () => {
    const { app, put, step, get } = await start(Array(9).fill({ calls: [['wait', { seconds: 0 }]] }))
    await put({ tools: ['wait'], limits: { steps: 3 } })
    await step({ input: 'go' })
    const working = work(app)
    await until('it is over', async () => (await get()).status === 'failed')
    await working.stop()
    expect(await get()).toMatchObject({ steps: 3, error: { code: 'limit_reached' } })
  })

  it('fails for good where the model refuses, and the next run is not broken by it', async () => {
    const { app, put, step } = await start([{ status: 400 }, { text: 'Fine.' }])
    await put()
    expect((await step({ input: 'poison' })).body).toMatchObject({
      status: 'failed',
      error: { message: expect.any(String) },
    })
    expect((await step({ input: 'hello' })).body).toMatchObject({ step: 2, status: 'done', output: 'Fine.' })
    expect(JSON.stringify(app.provider.requests[1]!.body)).not.toContain('poison')
  })

  it('that fails for now is taken up again by itself, once', async () => {
    const { app, put, step, get } = await start([{ status: 503 }, { text: 'Late.' }])
    await put()
    expect((await step({ input: 'go' })).status).toBeGreaterThanOrEqual(500)
    const working = work(app)
    await until('the step is done', async () => (await get()).status === 'done')
    await working.stop()
    const { data } = await get('/steps')
    expect(data).toMatchObject([{ step: 1, status: 'done', output: 'Late.' }])
  })
})

const ADMIN = 'the-admin-key-of-this-test'

describe('a tool at an address that is not public', () => {
  it('is an admin’s to declare', async () => {
    const { app, id } = await start([], {
      env: { HUB_ADMIN_KEY: ADMIN, HUB_SECRET_KEY: 'x'.repeat(32) },
    })
    const admin = { authorization: `Bearer ${ADMIN}` }
    const made = await app.send('POST', '/v1/keys', { tenant: unique('tenant') }, admin)
    const member = { authorization: `Bearer ${(await made.json()).key}` }
    const body = { role: 'custom', tools: [webhook('http://127.0.0.1:1/hook')] }
    expect((await app.send('PUT', `/v1/agents/${id}`, body, member)).status).toBe(403)
    expect((await app.send('PUT', `/v1/agents/${id}`, body, admin)).status).toBe(200)
    expect((await app.get(`/v1/agents/${id}`, member)).status).toBe(404)
  })
})

describe('a person', () => {
  it('approves and refuses calls', async () => {
    const tool = await startTool({ answer: () => ({ text: 'sent' }) })
    const { put, step, get } = await start([
      {
        calls: [
          ['act', { n: 1 }],
          ['act', { n: 2 }],
        ],
      },
      { text: 'Done with it.' },
    ])
    await put({ tools: [webhook(tool.url, { approval: true })] })
    const { body: asked } = await step({ input: 'go' })
    expect(asked).toMatchObject({
      status: 'waiting',
      tool_calls: [{ status: 'pending' }, { status: 'pending' }],
      waiting: { for: 'approval', calls: [{ why: 'approval' }, {}] },
    })
    expect(tool.received).toHaveLength(0)
    expect(await step({ input: 'and?' })).toMatchObject({
      status: 409,
      body: { error: { code: 'decision_needed' } },
    })
    const [one, two] = (await get()).waiting.calls
    const first = await step({ decisions: [{ call_id: one.id, action: 'approve' }] })
    expect(first.body).toMatchObject({
      status: 'waiting',
      tool_calls: [{ id: one.id, status: 'ok', output: 'sent' }],
    })
    const second = await step({ decisions: [{ call_id: two.id, action: 'reject', reason: 'too dear' }] })
    expect(second.body).toMatchObject({
      status: 'done',
      output: 'Done with it.',
      tool_calls: [{ id: two.id, status: 'rejected', output: expect.stringContaining('too dear') }],
    })
    expect(tool.received).toHaveLength(1)
  })
})

describe('waiting', () => {
  it('for an event goes on when it comes, and not for another one', async () => {
    const { app, put, step, post, id, get } = await start([
      { calls: [['wait', { event: 'paid' }]] },
      { text: 'Thank you.' },
    ])
    await put({ tools: ['wait'] })
    expect((await step({ input: 'sell' })).body).toMatchObject({
      status: 'waiting',
      waiting: { for: 'event', type: 'paid' },
    })
    const working = work(app)
    await post(`/v1/agents/${id}/messages`, { content: 'weather', event_type: 'rain' })
    await post(`/v1/agents/${id}/messages`, { content: { amount: 3 }, event_type: 'paid' })
    await until('it went on', async () => (await get()).status === 'done')
    await working.stop()
    expect((await get('/steps')).data).toHaveLength(2)
    expect(JSON.stringify(app.provider.requests[1]!.body)).toContain('amount')
  })

  it('for a time goes on by itself', async () => {
    const { app, put, step, get } = await start([
      { calls: [['wait', { seconds: 1 }]] },
      { text: 'Good morning.' },
    ])
    await put({ tools: ['wait'] })
    const { waiting } = (await step({ input: 'sleep' })).body
    expect(waiting).toEqual({ for: 'time', until: expect.stringMatching(/^2\d{3}-.*Z$/) })
    const working = work(app)
    await until('it woke up', async () => (await get()).output !== null && (await get()).status === 'done')
    await working.stop()
    expect((await get('/steps')).data[1]).toMatchObject({ output: 'Good morning.' })
  })
})

describe('messages', () => {
  it('are taken up by themselves, in order, once each', async () => {
    const { app, put, post, id, get } = await start()
    await put()
    const send = (content: string, key: string) =>
      post(`/v1/agents/${id}/messages`, { content }, { 'idempotency-key': key })
    expect((await send('one', 'k1')).status).toBe(202)
    await send('one', 'k1')
    await send('two', 'k2')
    const working = work(app)
    await until('they were taken', async () => (await get()).status === 'done')
    await working.stop()
    const told = JSON.stringify(app.provider.requests.map(({ body }) => body))
    expect(told.match(/one/g)!.length).toBeGreaterThan(0)
    const { data } = await get('/steps')
    expect(data.flatMap(({ messages }: { messages: string[] }) => messages)).toEqual(['/k1', '/k2'])
    expect((await post('/v1/agents/nobody-here/messages', { content: 'x' })).status).toBe(404)
  })

  it('of one agent reach another one, and events can be read from the beginning', async () => {
    const other = unique('other')
    const { app, put, step, id } = await start([
      { calls: [['send_message', { to: other, message: 'psst' }]] },
    ])
    await put({ tools: ['send_message'] })
    await put({}, other)
    await step({ input: 'tell them', until: 'done', stream: false })
    await app.settled()
    const working = work(app)
    await until(
      'it was taken up',
      async () => (await (await app.get(`/v1/agents/${other}`)).json()).status === 'done',
    )
    expect(JSON.stringify(app.provider.requests.at(-1)!.body)).toContain('psst')
    const leaving = new AbortController()
    const reply = await app.request(`/v1/agents/${id}/events`, {
      headers: { host: 'localhost', 'last-event-id': '0-0' },
      signal: leaving.signal,
    })
    const reader = reply.body!.getReader()
    let text = ''
    for (let over = false; !over && !text.includes('"step":2'); ) {
      const { value, done } = await reader.read()
      text += new TextDecoder().decode(value)
      over = done
    }
    leaving.abort()
    await reader.cancel()
    await working.stop()
    expect(text).toContain('event: step')
    expect(text).toContain('"step":2')
  })
})

describe('events of a stream', () => {
  it('are taken up by the agent that its handler names', async () => {
    const { app, put, id, get } = await start()
    await put()
    const handler = { type: 'agent-step', agent: id }
    expect((await app.send('PUT', '/v1/events/orders', { handler })).status).toBe(200)
    const working = work(app)
    const sent = await app.send('POST', '/v1/events/orders', { order: 17 })
    expect(sent.status).toBe(202)
    await until('it was taken up', async () => (await get()).status === 'done')
    await working.stop()
    expect(JSON.stringify(app.provider.requests.at(-1)!.body)).toContain('17')
    expect((await get('/steps')).data).toHaveLength(1)
  })
})

describe('a deleted agent', () => {
  it('refuses the commit of a step that runs', async () => {
    const { app, id, put, step } = await start([], { provider: { delayMs: 500, text: 'Too late.' } })
    await put()
    const running = step({ input: 'go' })
    await until('the model is asked', async () => app.provider.count === 1)
    expect((await app.delete(`/v1/agents/${id}`)).status).toBe(204)
    expect(await running).toMatchObject({ status: 410, body: { error: { code: 'agent_deleted' } } })
  })
})

/** What a process that lives on does beside answering. */
function work(app: Awaited<ReturnType<typeof startApp>>) {
  const stopping = new AbortController()
  const done = app.work(stopping.signal)
  return {
    async stop() {
      stopping.abort()
      await done
      await app.settled()
    },
  }
}
