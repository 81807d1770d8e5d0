import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { startTestRedis, testRedisUrl } from '../support/redis.ts'

const env = { HUB_ADMIN_KEY: 'an-admin-key-of-tests' }
const admin = { authorization: `Bearer ${env.HUB_ADMIN_KEY}` }
type Headers = Record<string, string>

let hub: TestApp
/** Another instance, over HTTP. */
let other: TestApp
let bridge: Awaited<ReturnType<typeof startTestBridge>>
let member: Headers
beforeAll(async () => {
  bridge = await startTestBridge({ redisUrl: testRedisUrl() })
  hub = await startApp({ env })
  other = await startApp({
    env: {
      ...env,
      ...{ REDIS_URL: '', UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token },
    },
  })
  member = await newMember()
})
afterAll(async () => {
  await hub[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
  await bridge.close()
})

/** A key of a tenant that is new. */
async function newMember(scopes?: string[]): Promise<Headers> {
  const reply = await hub.send('POST', '/v1/keys', { tenant: unique('prompts'), scopes }, admin)
  return { authorization: `Bearer ${(await reply.json()).key}` }
}

const say = (content: string) => ({ messages: [{ role: 'user', content }] })
const put = (name: string, body: object, headers: Headers = member, app = hub) =>
  app.send('PUT', `/v1/prompts/${name}`, body, headers)
const get = (name: string, query = '', headers = member, app = hub) =>
  app.get(`/v1/prompts/${name}${query}`, headers)
const render = (name: string, body: object = {}, headers = member, app = hub) =>
  app.send('POST', `/v1/prompts/${name}/render`, body, headers)
const move = (name: string, label: string, version: unknown, app = hub) =>
  app.send('PUT', `/v1/prompts/${name}/labels/${label}`, { version }, member)
const text = async (reply: Response) => (await reply.json()).messages?.[0].content

async function made(name: string, ...contents: string[]): Promise<string> {
  for (const content of contents) expect((await put(name, say(content))).status).toBe(201)
  return name
}

describe('versions', () => {
  it('each PUT is the next one, and none changes', async () => {
    const name = unique('support')
    const body = {
      messages: [
        { role: 'system', content: 'Be {{tone}}.', name: 'rules' },
        {
          role: 'user',
          content: [
            { type: 'text', text: '{{question}}' },
            { type: 'image_url', image_url: {} },
          ],
        },
      ],
      variables: { tone: { type: 'string', default: 'kind', enum: ['kind', 'terse'] }, question: 'string' },
      labels: ['production', 'eu'],
    }
    const first = await put(name, body)
    expect(first.status).toBe(201)
    expect(first.headers.get('location')).toBe(`/v1/prompts/${name}?version=1`)
    const version = await first.json()
    expect(version).toEqual({
      name,
      version: 1,
      labels: ['eu', 'production'],
      messages: body.messages,
      variables: {
        tone: { type: 'string', required: false, default: 'kind', enum: ['kind', 'terse'] },
        question: { type: 'string', required: true },
      },
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    })
    expect(await (await put(name, say('two'))).json()).toMatchObject({ version: 2, labels: [] })
    const versions = [
      { version: 2, labels: [] },
      { version: 1, labels: ['eu', 'production'] },
    ]
    expect(await (await get(name)).json()).toEqual({ ...version, versions })
    expect(await (await get(name, '?version=1', member, other)).json()).toEqual({ ...version, versions })
    expect(await (await get(name, '?label=latest')).json()).toMatchObject({ version: 2 })
  })

  it('concurrent PUTs over two instances get numbers of their own, and none is lost', async () => {
    const name = unique('race')
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        put(name, { ...say(`text ${n}`), labels: [`l${n}`] }, member, n % 2 ? hub : other),
      ),
    )
    const made = await Promise.all(replies.map((reply) => reply.json()))
    expect(made.map(({ version }) => version).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 40 }, (_, index) => index + 1),
    )
    for (const [n, { version }] of made.entries()) {
      const stored = await (await get(name, `?version=${version}`)).json()
      expect([stored.messages[0].content, stored.labels]).toEqual([`text ${n}`, [`l${n}`]])
    }
  })

  it('a PUT that is retried with its Idempotency-Key makes one version; another body is 422', async () => {
    const name = unique('once')
    const once = { ...member, 'idempotency-key': unique('key') }
    const first = await (await put(name, say('a'), once)).json()
    await put(name, say('b'))
    expect(await (await put(name, say('a'), once, other)).json()).toEqual(first)
    expect((await put(name, say('c'), once)).status).toBe(422)
    expect((await (await get(name)).json()).versions).toHaveLength(2)
  })

  it('are bounded in number', async () => {
    const name = unique('many')
    for (let n = 0; n < 1_000; n += 50) {
      await Promise.all(Array.from({ length: 50 }, () => put(name, say('x'))))
    }
    const reply = await put(name, say('x'))
    expect(reply.status).toBe(409)
    expect((await reply.json()).error).toMatchObject({ code: 'too_many_versions', param: 'versions' })
    expect((await (await get(name)).json()).version).toBe(1_000)
  })
})

describe('labels', () => {
  it('are moved at once here and within a second elsewhere: a rollback', async () => {
    const name = await made(unique('rollback'), 'one', 'two')
    expect(await text(await render(name))).toBe('two')
    expect(await text(await render(name, {}, member, other))).toBe('two')
    const moved = await move(name, 'production', 1)
    expect(moved.status).toBe(200)
    expect(await moved.json()).toEqual({ name, label: 'production', version: 1 })
    expect(await text(await render(name))).toBe('one')
    await expect.poll(async () => text(await render(name, {}, member, other)), { timeout: 1_500 }).toBe('one')
    expect(await text(await render(name, { label: 'latest' }))).toBe('two')
    expect(await text(await render(name, { version: 2 }))).toBe('two')
  })

  it('a label moves with the PUT that names it, and leaves the version it had', async () => {
    const name = await made(unique('moves'))
    await put(name, { ...say('one'), labels: ['production'] })
    await put(name, { ...say('two'), labels: ['production', 'constructor'] })
    expect((await (await get(name)).json()).versions).toEqual([
      { version: 2, labels: ['constructor', 'production'] },
      { version: 1, labels: [] },
    ])
  })

  it('are removed; their version stays', async () => {
    const name = await made(unique('unlabel'), 'one', 'two')
    await move(name, 'production', 1)
    const remove = () => hub.delete(`/v1/prompts/${name}/labels/production`, member)
    expect((await remove()).status).toBe(204)
    expect((await remove()).status).toBe(404)
    expect((await (await get(name)).json()).version).toBe(2)
    expect((await get(name, '?version=1')).status).toBe(200)
  })
})

describe('prompts', () => {
  it('are listed by name, in pages', async () => {
    const headers = await newMember()
    for (const name of ['c', 'a', 'b']) await put(name, { ...say('x'), labels: ['eu'] }, headers)
    const page = async (query: string) => (await hub.get(`/v1/prompts${query}`, headers)).json()
    const row = (name: string) => ({ name, version: 1, labels: { eu: 1 } })
    expect(await page('?limit=2')).toEqual({ data: [row('a'), row('b')], has_more: true })
    expect(await page('?limit=2&after=b')).toEqual({ data: [row('c')], has_more: false })
    expect(await page('?after=c')).toEqual({ data: [], has_more: false })
  })

  it('are their tenant’s own', async () => {
    const name = await made(unique('mine'), 'secret')
    const stranger = await newMember()
    expect((await get(name, '', stranger)).status).toBe(404)
    expect((await render(name, { version: 1 }, stranger)).status).toBe(404)
    expect((await (await hub.get('/v1/prompts', stranger)).json()).data).toEqual([])
    expect((await (await put(name, say('x'), stranger)).json()).version).toBe(1)
    expect(await text(await render(name))).toBe('secret')
  })

  it('need the scope `prompts`', async () => {
    const narrow = await newMember(['cache-complete'])
    for (const reply of [put('x', say('x'), narrow), get('x', '', narrow), render('x', {}, narrow)]) {
      expect((await reply).status).toBe(403)
    }
    const wide = await newMember(['prompts'])
    expect((await put('x', say('x'), wide)).status).toBe(201)
  })

  it('are deleted with their versions, whose numbers are not given again', async () => {
    const name = await made(unique('gone'), 'one', 'two')
    expect(await text(await render(name, { version: 1 }))).toBe('one')
    expect((await hub.delete(`/v1/prompts/${name}`, member)).status).toBe(204)
    expect((await hub.delete(`/v1/prompts/${name}`, member)).status).toBe(404)
    for (const body of [{}, { version: 1 }, { label: 'latest' }]) {
      const { error } = await (await render(name, body)).json()
      expect(error).toMatchObject({ code: 'prompt_not_found', param: 'name' })
    }
    expect((await move(name, 'production', 1)).status).toBe(404)
    expect(await (await put(name, say('three'))).json()).toMatchObject({ version: 3 })
    expect((await (await get(name)).json()).versions).toEqual([{ version: 3, labels: [] }])
    expect((await get(name, '?version=2')).status).toBe(404)
  })
})

describe('rendering', () => {
  it('fills messages, and asks Redis nothing that it knows', async () => {
    const local = await startApp()
    const name = unique('greet')
    await put(name, { ...say('Hi {{name}}!'), labels: ['eu'] }, {}, local)
    await render(name, { variables: { name: 'x' } }, {}, local)
    await render(name, { variables: { name: 'x' }, label: 'eu' }, {}, local)
    local.waves.length = 0
    for (const selector of [{}, { version: 1 }, { label: 'eu' }, { label: 'latest' }]) {
      const reply = await render(name, { variables: { name: '{{name}}"' }, ...selector }, {}, local)
      expect(reply.status).toBe(200)
      expect(await reply.json()).toEqual({
        messages: [{ role: 'user', content: 'Hi {{name}}"!' }],
        version: 1,
      })
    }
    expect(local.waves).toEqual([])
    await local[Symbol.asyncDispose]()
  })

  it('Redis away: what was seen still renders, what was not is 503', async () => {
    const redis = await startTestRedis()
    const local = await startApp({ env: { REDIS_URL: redis.url } })
    const [name, unseen] = [unique('seen'), unique('unseen')]
    await put(name, { ...say('one'), labels: ['production'] }, {}, local)
    await put(unseen, say('one'), {}, local)
    await render(name, {}, {}, local)
    await redis.stop()
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    expect(await text(await render(name, {}, {}, local))).toBe('one')
    expect(await text(await render(name, { version: 1 }, {}, local))).toBe('one')
    const reply = await render(unseen, {}, {}, local)
    expect(reply.status).toBe(503)
    expect((await reply.json()).error.code).toBe('redis_unavailable')
    await local[Symbol.asyncDispose]()
  })
})

describe('bad input gets a clear error', () => {
  const name = unique('bad')
  beforeAll(() => put(name, { ...say('Hi {{name}}'), variables: { name: 'string' }, labels: ['eu'] }))

  it.each<[string, object, string]>([
    ['no messages', {}, 'messages'],
    ['empty messages', { messages: [] }, 'messages'],
    ['too many messages', { messages: Array(101).fill(say('').messages[0]) }, 'messages'],
    ['a wrong role', { messages: [{ role: '{{role}}', content: '' }] }, 'messages[0].role'],
    [
      'a text part without text',
      { messages: [{ role: 'user', content: [{ type: 'text', text: 1 }] }] },
      'messages[0].content',
    ],
    ['a wrong template', say('{{#a}}'), 'messages[0].content'],
    ['an undeclared variable', { ...say('{{a}}'), variables: {} }, 'messages[0].content'],
    ['an unknown type', { ...say(''), variables: { a: 'text' } }, 'variables.a.type'],
    [
      'an unknown field of a variable',
      { ...say(''), variables: { a: { type: 'string', x: 1 } } },
      'variables.a.x',
    ],
    [
      'a wrong default',
      { ...say(''), variables: { a: { type: 'number', default: '1' } } },
      'variables.a.default',
    ],
    ['a variable that cannot be named', { ...say(''), variables: { 'a b': 'string' } }, 'variables["a b"]'],
    ['a wrong label', { ...say(''), labels: ['ok', 'a b'] }, 'labels[1]'],
    ['the label latest', { ...say(''), labels: ['latest'] }, 'labels[0]'],
    ['an unknown field', { ...say(''), model: 'm' }, 'model'],
    ['too large a template', say('x'.repeat(300_000)), 'messages'],
  ])('PUT with %s', async (_, body, param) => {
    const reply = await put(name, body)
    expect(reply.status).toBe(400)
    expect((await reply.json()).error.param).toBe(param)
  })

  const values = { name: 'Ann' }
  it.each<[string, object, number, string, string]>([
    ['a missing variable', {}, 400, 'missing_variable', 'variables.name'],
    ['an unknown variable', { variables: { ...values, x: 1 } }, 400, 'unknown_variable', 'variables.x'],
    ['a wrong type', { variables: { name: ['Ann'] } }, 400, 'invalid_variable', 'variables.name'],
    ['an unknown version', { version: 9, variables: values }, 404, 'prompt_version_not_found', 'version'],
    ['an unknown label', { label: 'us', variables: values }, 404, 'prompt_label_not_found', 'label'],
    ['a label of Object', { label: 'constructor' }, 404, 'prompt_label_not_found', 'label'],
    ['both', { version: 1, label: 'eu' }, 400, 'invalid_value', 'label'],
    ['a version that is none', { version: 'eu' }, 400, 'invalid_value', 'version'],
  ])('rendering with %s', async (_, body, status, code, param) => {
    const reply = await render(name, body)
    expect(reply.status).toBe(status)
    expect((await reply.json()).error).toMatchObject({ code, param })
  })

  it.each<[string, () => Promise<Response>, number, string]>([
    ['a name with a brace', () => put('a%7Bb%7D', say('')), 400, 'name'],
    ['a prompt that is not there', () => get(unique('none')), 404, 'name'],
    ['a version that is not there', () => get(name, '?version=7'), 404, 'version'],
    ['version 0', () => get(name, '?version=0'), 400, 'version'],
    ['a label on a version that is not there', () => move(name, 'eu', 7), 404, 'version'],
    ['a label on no version', () => move(name, 'eu', 'one'), 400, 'version'],
    ['a label with a brace', () => move(name, 'a%7B', 1), 400, 'label'],
    ['too long a list', () => hub.get('/v1/prompts?limit=1000', member), 400, 'limit'],
  ])('%s', async (_, call, status, param) => {
    const reply = await call()
    expect(reply.status).toBe(status)
    expect((await reply.json()).error.param).toBe(param)
  })

  it('more labels than may be', async () => {
    const crowded = await made(unique('crowded'), 'x')
    await Promise.all(Array.from({ length: 100 }, (_, n) => move(crowded, `l${n}`, 1)))
    for (const reply of [
      await move(crowded, 'more', 1),
      await put(crowded, { ...say('x'), labels: ['more'] }),
    ]) {
      expect(reply.status).toBe(409)
      expect((await reply.json()).error.code).toBe('too_many_labels')
    }
    expect((await move(crowded, 'l7', 1)).status).toBe(200)
  })
})
