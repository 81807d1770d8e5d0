import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unique } from '../support/app.ts'
import { type ServedHub, serveHub } from './support/served-hub.ts'

let hub: ServedHub
beforeAll(async () => {
  hub = await serveHub()
})
afterAll(() => hub[Symbol.asyncDispose]())

/** The program itself: status, headers (of the reply, in lower case) and body. */
async function curl(
  path: string,
  { key = hub.key, args = [] as string[], body = undefined as unknown } = {},
) {
  const json = ['-H', 'Content-Type: application/json']
  const data =
    body === undefined
      ? []
      : [...json, '--data-binary', typeof body === 'string' ? body : JSON.stringify(body)]
  const command = ['-sS', '-i', '--max-time', '15', '-H', `Authorization: Bearer ${key}`, ...data, ...args]
  const { stdout } = await promisify(execFile)('curl', [...command, hub.url + path])
  const [head = '', ...rest] = stdout.split('\r\n\r\n')
  const [first = '', ...lines] = head.split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  )
  return { status: Number(first.split(' ')[1]), headers, text: rest.join('\r\n\r\n') }
}
const asking = (more: object = {}) => ({
  ...{ model: 'local/local', messages: [{ role: 'user', content: crypto.randomUUID() }] },
  ...more,
})

describe('curl', () => {
  it('posts JSON and reads JSON, the second time from the cache', async () => {
    const body = asking()
    const first = await curl('/v1/chat/completions', { body })
    expect(first.status).toBe(200)
    expect(first.headers['content-type']).toBe('application/json')
    expect(first.headers['cache-status']).toBe('redis-ai-hub; fwd=miss; stored')
    expect(JSON.parse(first.text).choices[0].message.content).toContain(body.messages[0]!.content)
    const again = await curl('/v1/chat/completions', { body })
    expect(again.headers['cache-status']).toContain('; hit;')
    expect(again.headers.age).toMatch(/^\d+$/)
    expect(again.text).toBe(first.text)
  })

  it('-N reads server-sent events of chat completions and of messages', async () => {
    const chat = await curl('/v1/chat/completions', { args: ['-N'], body: asking({ stream: true }) })
    expect(chat.headers['content-type']).toContain('text/event-stream')
    const events = chat.text.trim().split('\n\n')
    expect(events.length).toBeGreaterThan(5)
    expect(events.every((event) => event.startsWith('data: '))).toBe(true)
    expect(events.at(-1)).toBe('data: [DONE]')
    const messages = await curl('/v1/messages', {
      args: ['-N', '-H', 'anthropic-version: 2023-06-01'],
      body: asking({ stream: true, max_tokens: 200 }),
    })
    expect(messages.text.startsWith('event: message_start\ndata: {')).toBe(true)
    expect(messages.text).toMatch(/event: message_stop\ndata: \{"type":"message_stop"\}\n\n$/)
  })

  it('sends and reads NDJSON', async () => {
    const index = unique('docs')
    const [fields, put] = [{ fields: {} }, ['-X', 'PUT']]
    expect((await curl(`/v1/indexes/${index}`, { args: put, body: fields })).status).toBe(201)
    const lines = ['{"id":"a","text":"A bee."}', '{"id":"b","text":"A car."}'].join('\n')
    const args = ['-H', 'Content-Type: application/x-ndjson', '--data-binary', lines]
    const written = await curl(`/v1/indexes/${index}/documents`, { args })
    expect(JSON.parse(written.text)).toMatchObject({ accepted: 2 })

    const dataset = unique('rows')
    const rows = ['a', 'b'].map((id) => JSON.stringify({ id, features: { x: 1 } })).join('\n')
    const ndjson = ['-H', 'Content-Type: application/x-ndjson', '--data-binary', rows]
    const appended = await curl(`/v1/datasets/${dataset}/rows`, { args: ndjson })
    expect(JSON.parse(appended.text)).toMatchObject({ accepted: 2 })
    const read = await curl(`/v1/datasets/${dataset}`)
    expect(read.headers['content-type']).toContain('ndjson')
    expect(
      read.text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toHaveLength(2)
  })

  it('401 says how to send a key', async () => {
    const { status, headers, text } = await curl('/v1/chat/completions', { key: 'nobody', body: asking() })
    expect(status).toBe(401)
    expect(headers['www-authenticate']).toBe('Bearer')
    expect(JSON.parse(text).error).toMatchObject({ type: 'authentication_error', code: 'invalid_api_key' })
  })

  it('429 says when to come again', async () => {
    const key = await hub.newKey({ limits: [{ on: 'requests', limit: 1, window_seconds: 600 }] })
    const first = await curl('/v1/chat/completions', { key, body: asking() })
    expect(first.headers.ratelimit).toContain('r=0')
    const { status, headers, text } = await curl('/v1/chat/completions', { key, body: asking() })
    expect(status).toBe(429)
    expect(Number(headers['retry-after'])).toBeGreaterThan(0)
    expect(headers['ratelimit-policy']).toContain('q=1;w=600')
    expect(headers.ratelimit).toContain('r=0')
    expect(JSON.parse(text).error.type).toBe('rate_limit_error')
  })

  it('400 names the path, and a large body is refused before it is read', async () => {
    const { status, text } = await curl('/v1/chat/completions', { body: asking({ temperature: 9 }) })
    expect(status).toBe(400)
    expect(JSON.parse(text).error.param).toBe('temperature')
    const type = await curl('/v1/chat/completions', { args: ['-H', 'Content-Type: text/plain', '-d', 'x'] })
    expect(type.status).toBe(415)
  })
})
