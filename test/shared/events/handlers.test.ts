import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Webhook } from 'standardwebhooks'
import { describe, expect, it, type TestContext } from 'vitest'
import { createOutgoingNode } from '../../../shared/drivers/outgoing-node.ts'
import { HubError } from '../../../shared/errors.ts'
import { createEmbedHandler } from '../../../shared/events/handle-embed.ts'
import { createForwardHandler } from '../../../shared/events/handle-forward.ts'
import { createHttpHandler } from '../../../shared/events/handle-http.ts'
import type { EventHandlers, HandledEvent } from '../../../shared/events/handlers.ts'
import type { Outgoing } from '../../../shared/ports/outgoing.ts'
import { handlerOf, startEvents } from '../../support/events.ts'
import { until } from '../../support/hub.ts'

const eventOf = (n: number, more: object = {}): HandledEvent => ({
  event: { specversion: '1.0', id: `e${n}`, source: '/test', type: 't', time: 'now', data: { n }, ...more },
  resultId: `r${n}`,
  attempt: 1,
})
const context = () => ({ tenant: 'default', stream: 's', signal: new AbortController().signal })

describe('http', () => {
  type Answer = (request: IncomingMessage, body: string, response: ServerResponse) => void

  /** A receiver, and the handler that may call it though it is no public one. */
  async function start({ onTestFinished }: TestContext, answer: Answer) {
    const server = createServer(async (request, response) => {
      let body = ''
      for await (const part of request.setEncoding('utf8')) body += part
      answer(request, body, response)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    onTestFinished(() => server.closeAllConnections())
    const node = createOutgoingNode({ silenceMs: 5_000 })
    const outgoing: Outgoing = { ...node, send: (request) => node.send({ ...request, allowPrivate: true }) }
    const handler = createHttpHandler({ outgoing, clock: Date })
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/in`
    return async (settings: object = {}, events = [eventOf(1)]) =>
      handler.handle(events, { url, timeout_seconds: 5, ...settings }, context())
  }

  it('POSTs the CloudEvent, signed; the JSON reply is the result', async (test) => {
    const secret = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
    let verified: unknown
    const call = await start(test, ({ method, headers }, body, response) => {
      verified = new Webhook(secret).verify(body, headers as Record<string, string>)
      response.end(JSON.stringify({ method, type: headers['content-type'], id: headers['webhook-id'] }))
    })
    expect(await call({ secret })).toEqual([
      {
        result: { method: 'POST', type: 'application/cloudevents+json; charset=utf-8', id: 'r1' },
      },
    ])
    expect(verified).toEqual(eventOf(1).event)
  })

  it.each([
    [204, '', { result: null }],
    [200, 'thanks', { result: 'thanks' }],
    [400, 'no', { failed: 'The receiver answered 400: no', permanent: true }],
    [302, '', { failed: 'The receiver answered 302', permanent: true }],
    [408, '', { permanent: false }],
    [425, '', { permanent: false }],
    [500, '', { permanent: false }],
  ])('%i %o: %o', async (status, text, expected) => {
    const test = { onTestFinished: (await import('vitest')).onTestFinished } as TestContext
    const call = await start(test, (_, __, response) => void response.writeHead(status).end(text))
    expect(await call()).toMatchObject([expected])
  })

  it('Retry-After is honoured, in seconds and as a date', async (test) => {
    const values = ['7', new Date(Date.now() + 60_000).toUTCString(), 'soon']
    const call = await start(
      test,
      (_, __, response) => void response.writeHead(429, { 'retry-after': values.shift() }).end(),
    )
    expect(await call()).toMatchObject([{ permanent: false, retryAfterMs: 7_000 }])
    const [dated] = (await call()) as readonly { retryAfterMs: number }[]
    expect(dated!.retryAfterMs).toBeGreaterThan(50_000)
    expect(await call()).toMatchObject([{ permanent: false, retryAfterMs: undefined }])
  })

  it('a receiver that takes too long is asked again later; one that says too much is not', async (test) => {
    const call = await start(test, (_, body, response) => {
      if (body.includes('"n":2')) response.end('x'.repeat(300 * 1024))
    })
    const [slow] = await call({ timeout_seconds: 0.2 })
    expect(slow).toEqual({ failed: 'The receiver took longer than 0.2 s' })
    expect(await call({}, [eventOf(2)])).toMatchObject([
      { permanent: true, failed: { code: 'reply_too_large' } },
    ])
  })

  it('calls no address that is not public', async () => {
    const handler = createHttpHandler({ outgoing: createOutgoingNode({ silenceMs: 1_000 }), clock: Date })
    for (const url of ['https://127.0.0.1/', 'https://localhost/', 'https://169.254.169.254/latest']) {
      const [handled] = await handler.handle([eventOf(1)], { url, timeout_seconds: 5 }, context())
      expect(handled).toMatchObject({ permanent: true, failed: { code: 'upstream_refused' } })
    }
    expect(handler.settings.safeParse({ url: 'http://example.com' }).success).toBe(false)
  })
})

describe('forward', () => {
  it('sends on into another stream; a circle of streams ends', async (test) => {
    const handlers: EventHandlers = {}
    const hub = await startEvents(test, { handlers })
    handlers.forward = createForwardHandler({ intake: hub.intake }) as EventHandlers[string]
    await hub.streams.put(hub.tenant, 'a', { handler: { type: 'forward', stream: 'b' } })
    await hub.streams.put(hub.tenant, 'b', { handler: { type: 'forward', stream: 'a' } })
    hub.run()
    const ids = await hub.send('a', 10)
    await until('all are done', async () => (await hub.found(ids)).size === 10)
    const there = [...(await hub.found(ids)).values()].map(
      ({ result }) => result as { stream: string; result_id: string },
    )
    expect(there.every(({ stream }) => stream === 'b')).toBe(true)
    const next = there.map(({ result_id }) => result_id)
    await until('all came back', async () => (await hub.found(next)).size === 10)
    await sleep(200)
    const [length] = await hub.resp.wave([['XLEN', `t:${hub.tenant}:events:a`]])
    expect(length).toBe(10) // none twice
  })

  it('one that the other stream does not take fails alone; a full one is tried again when it says', async () => {
    const accept = async (_: string, stream: string, events: readonly { id?: string }[]) => {
      const full = new HubError({ code: 'stream_full', status: 429, message: 'full', retryAfterSeconds: 2 })
      if (stream === 'full') throw full
      if (events.some(({ id }) => id === 'e2'))
        throw new HubError({ code: 'schema_violation', status: 422, message: 'bad' })
      return {
        accepted: 1,
        duplicates: 0,
        events: events.map(({ id = '' }) => ({ id, result_id: `to ${id}` })),
      }
    }
    const handler = createForwardHandler({ intake: { accept } })
    const events = [eventOf(1), eventOf(2), eventOf(3)]
    expect(await handler.handle(events, { stream: 'b' }, context())).toMatchObject([
      { result: { stream: 'b', result_id: 'to e1' } },
      { permanent: true, failed: { code: 'schema_violation' } },
      { result: { result_id: 'to e3' } },
    ])
    const refused = await handler.handle(events, { stream: 'full' }, context())
    expect(refused).toMatchObject(Array(3).fill({ permanent: false, retryAfterMs: 2_000 }))
  })
})

describe('embed', () => {
  const written: unknown[] = []
  const handler = createEmbedHandler({
    admission: { recall: async (tenant: string) => ({ tenant }) as never },
    indexes: { resolve: async (_, name) => ({ name }) as never },
    documents: {
      async put(_, documents) {
        if (documents.some(({ text }) => text === ''))
          throw new HubError({ code: 'bad', status: 400, message: 'empty' })
        written.push(...documents)
        return documents.map(({ id }) => ({ id: id!, chunks: 1, unchanged: false }))
      },
    },
  })

  it('takes id, text and metadata from where it is told; of one document the last event counts', async () => {
    const events = [
      eventOf(1, { data: { article: { key: 7, body: 'old' }, tags: { a: 1 } } }),
      eventOf(2, { data: { article: { key: 7, body: 'new' }, tags: { a: 2 } } }),
      eventOf(3, { data: { article: { key: 8, body: '' } } }),
      eventOf(4, { data: { article: { body: 'no id' } } }),
    ]
    const paths = { id_path: 'data.article.key', text_path: 'data.article.body', metadata_path: 'data.tags' }
    expect(await handler.handle(events, { index: 'docs', ...paths }, context())).toMatchObject([
      { result: { index: 'docs', document_id: '7', chunks: 1 } },
      { result: { index: 'docs', document_id: '7', chunks: 1 } },
      { permanent: true, failed: { message: 'empty' } },
      { permanent: true, failed: { param: 'data.article.key' } },
    ])
    expect(written.at(-1)).toEqual({ id: '7', text: 'new', metadata: { a: 2 } })
  })
})

it('what a handler throws is the failure of all, by its kind', async (test) => {
  const broken = handlerOf(() => {
    throw new HubError({ code: 'gone', status: 404, message: 'It is gone' })
  })
  const hub = await startEvents(test, { handlers: { broken } })
  await hub.streams.put(hub.tenant, 's', { handler: { type: 'broken' } })
  hub.run()
  const ids = await hub.send('s', 3)
  await until('all are over', async () => (await hub.found(ids)).size === 3)
  const found = [...(await hub.found(ids)).values()]
  expect(found).toMatchObject(
    Array(3).fill({ status: 'failed', attempts: 1, error: { message: 'It is gone' } }),
  )
})

it('secrets of a handler lie sealed in Redis, are shown to nobody, and stay where they are left out', async (test) => {
  const seen: unknown[] = []
  const signing = handlerOf(
    (_, settings) => {
      seen.push(settings.secret)
      return { result: null }
    },
    { secrets: ['secret'] },
  )
  const hub = await startEvents(test, { handlers: { signing } })
  const handler = { type: 'signing', url: 'https://example.com', secret: 'a secret that nobody sees' }
  await hub.streams.put(hub.tenant, 's', { handler })
  const { secret: _, ...shown } = handler
  await hub.streams.put(hub.tenant, 's', { handler: shown, max_lag: 5 })
  const [text] = await hub.resp.wave([['HGET', `t:${hub.tenant}:streams`, 's']])
  expect(text).toContain('"sealed"')
  expect(text).not.toContain(handler.secret)
  expect(hub.handlerSecrets.hide((await hub.streams.settings(hub.tenant, 's')).handler!)).toEqual(shown)
  hub.run()
  const ids = await hub.send('s', 1)
  await until('it is done', async () => (await hub.found(ids)).size === 1)
  expect(seen).toEqual([handler.secret])
})
