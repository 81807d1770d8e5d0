import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, readSse, startApp, type TestApp, textOf, unique } from '../support/app.ts'

let hub: TestApp
beforeAll(async () => {
  hub = await startApp()
})
afterAll(() => hub[Symbol.asyncDispose]())

const status = (response: Response) => response.headers.get('cache-status')

describe('an equal completion comes from the cache', () => {
  it('a miss is stored, the second is a hit with Age and the same bytes; the provider is called once', async () => {
    const body = ask()
    const calls = hub.provider.count
    const miss = await hub.complete(body)
    expect(status(miss)).toBe('redis-ai-hub; fwd=miss; stored')
    expect(miss.headers.get('age')).toBeNull()
    const hit = await hub.complete(body)
    expect(status(hit)).toMatch(/^redis-ai-hub; hit; ttl=3[2-6]\d\d; detail=exact$/)
    expect(hit.headers.get('age')).toMatch(/^[01]$/)
    expect(hit.headers.get('content-type')).toBe('application/json')
    expect(await hit.text()).toBe(await miss.text())
    expect(hub.provider.count).toBe(calls + 1)
  })

  it('what differs only in key order, white space or fields that cannot matter shares one entry', async () => {
    const text = crypto.randomUUID()
    await hub.complete(ask(text, { temperature: 0 }))
    const other = {
      temperature: 0,
      user: 'somebody',
      metadata: { a: 'b' },
      messages: [{ content: text, role: 'user' }],
      model: 'gpt-4o-mini',
    }
    expect(status(await hub.send('POST', '/v1/chat/completions', JSON.stringify(other, null, 4)))).toContain(
      '; hit;',
    )
  })

  it('a streamed answer serves a JSON caller', async () => {
    const body = ask()
    const streamed = await hub.complete({ ...body, stream: true })
    expect(streamed.headers.get('content-type')).toMatch(/^text\/event-stream/)
    const events = await readSse(streamed)
    expect(events.at(-1)).toBe('[DONE]')
    const hit = await hub.complete(body)
    expect(status(hit)).toContain('; hit;')
    const completion = await hit.json()
    expect(completion.object).toBe('chat.completion')
    expect(completion.choices[0].message.content).toBe(textOf(events))
    expect(completion.choices[0].finish_reason).toBe('stop')
    expect(completion.usage.total_tokens).toBeGreaterThan(0)
  })

  it('a JSON answer serves a streaming caller, with usage only when asked for', async () => {
    const body = ask()
    const completion = await (await hub.complete(body)).json()
    const plain = await readSse(await hub.complete({ ...body, stream: true }))
    expect(textOf(plain)).toBe(completion.choices[0].message.content)
    expect(plain.some((data) => data.includes('"total_tokens"'))).toBe(false)
    const withUsage = await readSse(
      await hub.complete({ ...body, stream: true, stream_options: { include_usage: true } }),
    )
    expect(JSON.parse(withUsage.at(-2)!).usage).toEqual(completion.usage)
  })

  it('a caller that did not ask for usage does not get the chunk that the hub asked for', async () => {
    const events = await readSse(await hub.complete(ask(undefined, { stream: true })))
    expect(events.some((data) => data.includes('"total_tokens"'))).toBe(false)
    expect(hub.provider.requests.at(-1)!.body.stream_options).toEqual({ include_usage: true })
  })

  it('tool calls survive the way through the cache', async () => {
    const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }]
    const body = ask(undefined, { tools, mock: { toolCalls: [{ name: 'f', arguments: '{"a":1}' }] } })
    await readSse(await hub.complete({ ...body, stream: true }))
    const [call] = (await (await hub.complete(body)).json()).choices[0].message.tool_calls
    expect(call).toMatchObject({ type: 'function', function: { name: 'f', arguments: '{"a":1}' } })
    expect(call.index).toBeUndefined()
  })
})

describe('the caller rules the cache by HTTP terms', () => {
  it('no-store: neither read nor written', async () => {
    const body = ask()
    expect(status(await hub.complete(body, { 'cache-control': 'no-store' }))).toBe(
      'redis-ai-hub; fwd=request',
    )
    expect(status(await hub.complete(body))).toBe('redis-ai-hub; fwd=miss; stored')
    expect(status(await hub.complete(body, { 'cache-control': 'no-store' }))).toBe(
      'redis-ai-hub; fwd=request',
    )
  })

  it('no-cache: not read, written', async () => {
    const body = ask()
    await hub.complete(body)
    const calls = hub.provider.count
    const fresh = await hub.complete(body, { 'cache-control': 'no-cache' })
    expect(status(fresh)).toBe('redis-ai-hub; fwd=request; stored')
    expect(hub.provider.count).toBe(calls + 1)
    const hit = await hub.complete(body)
    expect(status(hit)).toContain('; hit;')
    expect(await hit.text()).toBe(await fresh.text())
  })

  it('max-age: only younger entries', async () => {
    const body = ask()
    await hub.complete(body)
    expect(status(await hub.complete(body, { 'cache-control': 'max-age=60' }))).toContain('; hit;')
    expect(status(await hub.complete(body, { 'cache-control': 'max-age=0' }))).toBe(
      'redis-ai-hub; fwd=request; stored',
    )
  })

  it('only-if-cached: 504 on a miss, and the provider is not asked', async () => {
    const calls = hub.provider.count
    const reply = await hub.complete(ask(), { 'cache-control': 'only-if-cached' })
    expect(reply.status).toBe(504)
    expect((await reply.json()).error.code).toBe('not_cached')
    expect(hub.provider.count).toBe(calls)
  })

  it('x-hub-cache-ttl: exact seconds; anything else is 400', async () => {
    const body = ask()
    await hub.complete(body, { 'x-hub-cache-ttl': '120' })
    expect(status(await hub.complete(body))).toMatch(/; hit; ttl=1(20|19|18);/)
    for (const ttl of ['0', '-1', '1.5', 'soon', '99999999999']) {
      const reply = await hub.complete(body, { 'x-hub-cache-ttl': ttl })
      expect(reply.status, ttl).toBe(400)
      expect((await reply.json()).error.param).toBe('x-hub-cache-ttl')
    }
  })

  it('an entry is gone after its TTL', async () => {
    const body = ask()
    await hub.complete(body, { 'x-hub-cache-ttl': '1' })
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    expect(status(await hub.complete(body))).toContain('fwd=miss')
  })
})

describe('purge and stats', () => {
  it('purges the answer of one request, or all of the tenant', async () => {
    const [one, two] = [ask(), ask()]
    await hub.complete(one)
    await hub.complete(two)
    expect(await (await hub.send('POST', '/v1/cache/purge', { request: one })).json()).toEqual({ purged: 1 })
    expect(status(await hub.complete(one, { 'cache-control': 'only-if-cached' }))).toContain('fwd=miss')
    expect(status(await hub.complete(two))).toContain('; hit;')
    expect((await (await hub.send('POST', '/v1/cache/purge', {})).json()).purged).toBeGreaterThanOrEqual(1)
    expect(status(await hub.complete(two))).toContain('fwd=miss')
  })

  it('counts hits and misses', async () => {
    const stats = async () => (await hub.get('/v1/cache/stats')).json()
    await hub.settled()
    const before = await stats()
    const body = ask()
    await hub.complete(body)
    const completion = await (await hub.complete(body)).json()
    await hub.settled()
    const after = await stats()
    expect(after.misses).toBe(before.misses + 1)
    expect(after.hits).toBe(before.hits + 1)
    expect(after.saved_tokens).toBe(before.saved_tokens + completion.usage.total_tokens)
  })

  it('counts zero of what never happened', async () => {
    const { key } = await (await hub.send('POST', '/v1/keys', { tenant: unique('tenant') })).json()
    const headers = { authorization: `Bearer ${key}` }
    await hub.complete(ask(), headers)
    await hub.settled()
    expect(await (await hub.get('/v1/cache/stats', headers)).json()).toEqual({
      ...{ hits: 0, misses: 1, collapsed: 0, bypassed: 0, hit_rate: 0, saved_tokens: 0 },
    })
  })
})

describe('models', () => {
  it('lists what can be called now', async () => {
    const { object, data } = await (await hub.get('/v1/models')).json()
    expect(object).toBe('list')
    const ids = data.map(({ id }: { id: string }) => id)
    expect(ids).toContain('local/local')
    expect(ids.some((id: string) => id.startsWith('openai/'))).toBe(true)
    expect(ids.some((id: string) => id.startsWith('groq/'))).toBe(false)
  })
})
