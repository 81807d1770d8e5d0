import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, readSse, startApp, type TestApp } from '../support/app.ts'

let hub: TestApp
beforeAll(async () => {
  hub = await startApp({ env: { HUB_MAX_BODY_BYTES: '4096', HUB_PROVIDER_SILENCE_SECONDS: '1' } })
})
afterAll(() => hub[Symbol.asyncDispose]())

const post = (body: unknown, headers?: Record<string, string>) =>
  hub.send('POST', '/v1/chat/completions', body, headers)

async function envelope(response: Response) {
  const { error } = await response.json()
  expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type'])
  expect(error.message).not.toMatch(/\n\s+at /)
  return { status: response.status, ...error }
}

describe('bad input gets a clear error in OpenAI’s envelope', () => {
  it.each([
    ['malformed JSON', '{"model":', { status: 400, code: 'invalid_json', param: 'body' }],
    [
      'deep nesting',
      JSON.stringify({ ...ask('x'), extra: JSON.parse('['.repeat(400) + ']'.repeat(400)) }),
      { status: 400, code: 'invalid_json', param: 'body' },
    ],
    ['no object', '[]', { status: 400, param: 'body' }],
    ['no model', { messages: [] }, { status: 400, param: 'model' }],
    ['no messages', { model: 'm' }, { status: 400, param: 'messages' }],
    ['empty messages', { model: 'm', messages: [] }, { status: 400, param: 'messages' }],
    [
      'a wrong role',
      { model: 'm', messages: [{ role: 'boss', content: '' }] },
      { status: 400, param: 'messages[0].role' },
    ],
    ['a wrong type', ask('x', { temperature: 'hot' }), { status: 400, param: 'temperature' }],
    [
      'a nested wrong type',
      ask('x', { stream_options: { include_usage: 1 } }),
      { status: 400, param: 'stream_options.include_usage' },
    ],
    [
      'an unknown provider',
      ask('x', { model: 'nobody/m' }),
      { status: 404, code: 'provider_not_found', param: 'model' },
    ],
    [
      'a provider without a key',
      ask('x', { model: 'groq/m' }),
      { status: 400, code: 'provider_not_configured', param: 'model' },
    ],
    [
      'an unknown local model',
      ask('x', { model: 'local/m' }),
      { status: 404, code: 'model_not_found', param: 'model' },
    ],
    ['an over-size body', ask('x'.repeat(5_000)), { status: 413, code: 'body_too_large' }],
  ])('%s', async (_, body, expected) => {
    expect(await envelope(await post(body))).toMatchObject(expected)
  })

  it('an over-size body of unknown length', async () => {
    const body = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 10; i++) controller.enqueue(new TextEncoder().encode('x'.repeat(1_000)))
        controller.close()
      },
    })
    const init = {
      method: 'POST',
      body,
      duplex: 'half',
      headers: { host: 'localhost', 'content-type': 'application/json' },
    }
    const reply = await hub.app.request('http://localhost/v1/chat/completions', init as RequestInit, {
      defer() {},
    })
    expect(await envelope(reply)).toMatchObject({ status: 413 })
  })

  it('a wrong content type, with the way out', async () => {
    const reply = await envelope(await post('{}', { 'content-type': 'application/x-www-form-urlencoded' }))
    expect(reply).toMatchObject({ status: 415, code: 'unsupported_media_type' })
    expect(reply.message).toContain('application/json')
  })

  it('an unknown route', async () => {
    expect(await envelope(await hub.get('/v1/nothing'))).toMatchObject({ status: 404, code: 'not_found' })
  })

  it('echoes the request id', async () => {
    expect((await hub.get('/healthz', { 'x-request-id': 'mine-1' })).headers.get('x-request-id')).toBe(
      'mine-1',
    )
    expect((await hub.get('/healthz')).headers.get('x-request-id')).toMatch(/.{8}/)
  })
})

describe('a provider’s bad day', () => {
  it.each([
    ['400', { status: 400 }, { status: 400 }],
    [
      '401: the hub’s credential, not the caller’s',
      { status: 401 },
      { status: 502, code: 'provider_authentication_failed' },
    ],
    ['429', { status: 429, retryAfter: '7' }, { status: 429 }],
    ['500', { status: 500 }, { status: 502, code: 'provider_error' }],
    ['silence', { silent: 'head' }, { status: 504, code: 'provider_timeout' }],
    ['a broken body', { raw: 'not json' }, { status: 502, code: 'provider_bad_response' }],
    ['a cut body', { cut: 'destroy' }, { status: 502 }],
  ])('%s is told, and nothing is cached', async (_, mock, expected) => {
    for (const stream of [false, true]) {
      if (stream && 'cut' in mock) continue // tested as an event
      const body = ask(undefined, { mock, stream })
      const calls = hub.provider.count
      const reply = await post(body)
      if (expected.status === 429) expect(reply.headers.get('retry-after')).toBe('7')
      expect(await envelope(reply)).toMatchObject(expected)
      await hub.settled()
      await post(body)
      expect(hub.provider.count).toBe(calls + 2)
    }
  })

  it.each([['destroy'], ['end'], ['error']])(
    'a stream cut by %s ends in an error event, and is not cached',
    async (cut) => {
      const body = ask(undefined, { stream: true, mock: { cut, text: 'one two three four five six' } })
      const calls = hub.provider.count
      const reply = await post(body)
      expect(reply.status).toBe(200)
      const events = await readSse(reply)
      expect(JSON.parse(events.at(-1)!).error).toMatchObject({
        type: expect.any(String),
        code: expect.any(String),
      })
      expect(events).not.toContain('[DONE]')
      await hub.settled()
      await readSse(await post(body))
      expect(hub.provider.count).toBe(calls + 2)
    },
  )

  it('silence in the middle of a stream ends in an error event', async () => {
    const events = await readSse(await post(ask(undefined, { stream: true, mock: { silent: 'middle' } })))
    expect(JSON.parse(events.at(-1)!).error.code).toBe('provider_timeout')
  })

  it('a client that leaves mid-stream ends the provider’s call', async () => {
    const aborted = hub.provider.aborted
    const left = new AbortController()
    const reply = await hub.complete(
      ask(undefined, { stream: true, mock: { delayMs: 50, text: 'word '.repeat(100) } }),
      {},
      left.signal,
    )
    await reply.body!.getReader().read()
    left.abort()
    await expect.poll(() => hub.provider.aborted, { timeout: 3_000 }).toBe(aborted + 1)
  })

  it('a client that has left before the stream begins leaves no provider’s call behind', async () => {
    const { aborted, count } = hub.provider
    const body = ask(undefined, { stream: true, mock: { delayMs: 300, text: 'one two' } })
    await (await hub.complete(body, {}, AbortSignal.abort())).text().catch(() => {})
    await hub.settled()
    // It was not made, or it was ended: never left to run.
    await expect.poll(() => hub.provider.aborted - aborted).toBe(hub.provider.count - count)
  })

  it('a client that leaves a JSON call ends the provider’s call', async () => {
    const aborted = hub.provider.aborted
    const left = new AbortController()
    const reply = hub.complete(ask(undefined, { mock: { delayMs: 3_000 } }), {}, left.signal)
    const calls = hub.provider.count
    await expect.poll(() => hub.provider.count).toBe(calls + 1)
    left.abort()
    await expect.poll(() => hub.provider.aborted, { timeout: 2_000 }).toBe(aborted + 1)
    await reply.catch(() => {})
  })

  it('the hub’s and the provider’s secrets are in no answer and no log line', async () => {
    const reply = await post(ask(undefined, { mock: { status: 401 } }))
    expect(await reply.text()).not.toContain('sk-test')
    expect(JSON.stringify(hub.lines)).not.toContain('sk-test')
  })
})
