import type { RedisClientType } from '@redis/client'
import { expect } from 'vitest'
import type { TestApp } from './app.ts'
import { softmax } from './models.ts'

/** In much of what a filled tenant holds. */
export const MARK = 'Quetzalcoatl'

/** A key of a tenant for everything, and calls with it that must succeed. */
export async function makeMember(app: TestApp, tenant: string, admin: Record<string, string>) {
  const limits = [{ on: 'requests', limit: 100_000, window_seconds: 3_600 }]
  const budget = { usd: 100, period: 'total' }
  const made = await app.send('POST', '/v1/keys', { tenant, scopes: SCOPES, limits, budget }, admin)
  expect(made.status, await made.clone().text()).toBe(201)
  const { key, id } = (await made.json()) as { key: string; id: string }
  const header = { authorization: `Bearer ${key}` }
  return {
    ...{ key, id, header },
    async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
      const all = { host: 'localhost', ...header, ...headers }
      const ask = () =>
        body instanceof Uint8Array || body === undefined
          ? app.request(path, { method, body: body as BodyInit, headers: all })
          : app.send(method, path, body, all)
      let reply = await ask()
      // A budget is asked within 250 ms, which a busy machine may need for its first call.
      while (reply.status === 503) reply = await ask()
      const text = await reply.text()
      expect(reply.status, `${method} ${path}: ${text}`).toBeLessThan(300)
      await app.settled()
      return text
    },
  }
}

const SCOPES = [
  ...['admin', 'cache-complete', 'embed', 'search', 'ask', 'agent-step', 'ingest-event', 'infer', 'features'],
  ...['keys', 'model-routes', 'platform', 'prompts', 'usage', 'realtime', 'gateway', 'sessions'],
]

/** Uses whatever leaves something in Redis. Nobody works on what it queues. */
export async function fillTenant(app: TestApp, tenant: string, admin: Record<string, string>) {
  const member = await makeMember(app, tenant, admin)
  const { call } = member
  const say = (content: string) => ({
    model: 'openai/gpt-4o-mini',
    messages: [{ role: 'user', content: `${content} ${MARK}` }],
  })
  await app.send('PUT', `/v1/tenants/${tenant}`, { budget: { usd: 1_000, period: 'monthly' } }, admin)
  await call('POST', '/v1/chat/completions', say('What is'))
  await call('POST', '/v1/chat/completions', say('Who is'), { 'x-hub-semantic': 'on' })
  await call('POST', '/v1/embeddings', { model: 'openai/text-embedding-3-small', input: MARK })
  await call('PUT', '/v1/prompts/greet', { messages: [{ role: 'system', content: MARK }], labels: ['live'] })
  const target = { targets: [{ model: 'openai/gpt-4o-mini' }] }
  await call('PUT', `/v1/model-routes/fast?tenant=${tenant}`, target)
  await call('PUT', `/v1/credentials/openai/main?tenant=${tenant}`, { api_key: `sk-${MARK}` })
  await call('POST', `/v1/breakers/openai/gpt?tenant=${tenant}`, { state: 'open' })

  await call('PUT', '/v1/indexes/docs', { fields: { color: 'tag', size: 'number' } })
  await call('PUT', '/v1/index-aliases/current', { index: 'docs' })
  const document = {
    id: 'a:{b}',
    text: `${MARK} is a feathered serpent.`,
    metadata: { color: 'green', size: 3 },
  }
  await call('POST', '/v1/indexes/docs/documents', [document])
  await call('POST', '/v1/indexes/docs/documents?async=true', [{ ...document, id: 'later' }])
  await call('PUT', '/v1/indexes/old', { fields: {} })
  await call('DELETE', '/v1/indexes/old')
  await call('POST', '/v1/ask', { index: 'docs', question: `What is ${MARK}?`, model: 'openai/gpt-4o-mini' })

  const agent = { role: 'custom', instructions: MARK, model: 'openai/gpt-4o-mini' }
  await call('PUT', '/v1/agents/ada', agent)
  await call('POST', '/v1/agents/ada/steps', { input: MARK, stream: false })
  await call('POST', '/v1/agents/ada/memory', { text: `The user likes ${MARK}.` })
  await call('POST', '/v1/agents/ada/messages', { content: MARK }, { 'idempotency-key': 'm' })
  await call('PUT', '/v1/agents/bob', { ...agent, tools: [{ type: 'webhook', ...TOOL }] })
  await call('PUT', '/v1/knowledge/serpents', { color: 'green', name: MARK })
  await call('POST', '/v1/tasks', { id: 'one', input: MARK, topic: 'x', planner: 'ada' })
  await call('POST', '/v1/tasks', { id: 'two', input: MARK, topic: 'x' })
  await call('POST', '/v1/task-claims', { executor: 'crew', lease_seconds: 60, topics: ['x'] })

  await call('PUT', '/v1/events/orders', { handler: { type: 'store' } })
  const webhook = { url: 'https://hooks.example.com/x' }
  const rule = {
    on: { stream: 'orders' },
    when: { type: 'threshold', path: 'data.n', op: 'gt', value: 1 },
    webhook,
  }
  await call('PUT', '/v1/alerts/hot', rule)
  await call('POST', '/v1/events/orders', { n: 5, name: MARK })
  await call('POST', '/v1/queues/mail/jobs', { id: 'j', handler: { type: 'store' }, data: MARK })
  const source = { scheme: 'github', secret: `a-secret-of-${MARK}`, target: { stream: 'orders' } }
  await call('PUT', '/v1/webhooks/github', source)
  await call('PUT', '/v1/schedules/hourly', {
    every_seconds: 3_600,
    source: { type: 'event', stream: 'orders', data: MARK },
  })

  await call('PUT', '/v1/feature-views/users', { features: { age: 'int', name: 'string' } })
  await call('PUT', '/v1/features/users/u:1', { features: { age: 3, name: MARK } })
  await call('POST', '/v1/datasets/clicks/rows', [{ id: 'r', features: { name: MARK }, output: 1 }])
  await call('PUT', '/v2/models/iris/versions/1', softmax, { 'content-type': 'application/octet-stream' })
  const tensor = { name: 'x', shape: [1, 4], datatype: 'FP32', data: [1, 2, 3, 4] }
  await call('POST', '/v2/models/iris/infer', { inputs: [tensor] })
  await call('PUT', '/v2/pipelines/flowers', {
    inputs: { a: 'number' },
    preprocess: [{ op: 'concat', from: ['a', 'a', 'a', 'a'], as: 'x' }],
    models: [{ model: 'iris' }],
  })

  await call('POST', '/v1/realtime/chat:1', { data: MARK })
  await call('POST', '/v1/locks/nightly', { ttl_seconds: 600, owner: MARK })
  await call('PUT', '/v1/config/web', { theme: MARK })
  await call('PUT', '/v1/services/api/one', { url: 'http://10.0.0.1:80', ttl_seconds: 600 })
  await call('POST', '/v1/sessions', { user: MARK })
  await call('PATCH', `/v1/preferences/${MARK}`, { theme: 'dark' })
  await call('PUT', `/v1/preference-types?tenant=${tenant}`, { types: { theme: { type: 'string' } } })
  return member
}

const TOOL = {
  name: 'weather',
  description: 'tells the weather',
  url: 'https://tools.example.com/weather',
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
}

/** All keys with all that they hold, as text. */
export async function dump(client: RedisClientType): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const keys of client.scanIterator({ COUNT: 1_000 })) {
    for (const key of keys) found.set(key, await textOf(client, key))
  }
  return found
}

async function textOf(client: RedisClientType, key: string): Promise<string> {
  const ask = (...command: string[]) => client.sendCommand(command)
  const type = (await ask('TYPE', key)) as unknown as string
  const read: Record<string, () => Promise<unknown>> = {
    string: () => ask('GET', key),
    hash: () => ask('HGETALL', key),
    list: () => ask('LRANGE', key, '0', '-1'),
    set: () => ask('SMEMBERS', key),
    zset: () => ask('ZRANGE', key, '0', '-1', 'WITHSCORES'),
    stream: async () => [await ask('XRANGE', key, '-', '+'), await ask('XINFO', 'STREAM', key, 'FULL')],
    vectorset: () => ask('VRANDMEMBER', key, '1000000'),
  }
  return JSON.stringify(await read[type]!())
}
