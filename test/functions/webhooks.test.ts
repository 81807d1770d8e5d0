import { createHmac } from 'node:crypto'
import { createClient } from '@redis/client'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newWebhookSecret, signWebhook } from '../../shared/webhooks/signing.ts'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { testRedisUrl } from '../support/redis.ts'

const ADMIN = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${ADMIN}` }
const env = { HUB_ADMIN_KEY: ADMIN, HUB_SECRET_KEY: 'the secret key of tests' }
const redis = createClient({ url: testRedisUrl() })
let hub: TestApp
beforeAll(async () => {
  hub = await startApp({ env })
  await redis.connect()
})
afterAll(async () => {
  await hub[Symbol.asyncDispose]()
  redis.destroy()
})

const hex = (secret: string, text: string) => createHmac('sha256', secret).update(text).digest('hex')
const now = () => Math.floor(Date.now() / 1000)

const stripe = (secret: string, body: string, at = now()) => ({
  'stripe-signature': `t=${at},v1=${hex(secret, `${at}.${body}`)}`,
})
const slack = (secret: string, body: string, at = now()) => ({
  'x-slack-request-timestamp': String(at),
  'x-slack-signature': `v0=${hex(secret, `v0:${at}:${body}`)}`,
})
const github = (secret: string, body: string, event: string, delivery: string) => ({
  'x-hub-signature-256': `sha256=${hex(secret, body)}`,
  'x-github-event': event,
  'x-github-delivery': delivery,
})

/** A source of its own, and the stream that it leads to. */
async function source(scheme: string, secret: string, more: object = {}, from = hub) {
  const [name, stream] = [unique('source'), unique('stream')]
  const put = (body: object = {}) =>
    from.send('PUT', `/v1/webhooks/${name}`, { scheme, secret, target: { stream }, ...body }, admin)
  const reply = await put(more)
  expect(reply.status, await reply.clone().text()).toBe(200)
  const { path } = (await reply.json()) as { path: string }
  return {
    ...{ name, stream, path, put },
    /** No hub key: the signature is the credential. */
    post: (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string>) =>
      from.request(path, { method: 'POST', body, headers: { host: 'localhost', ...headers } }),
    events: async () =>
      (await redis.xRange(`events:${stream}`, '-', '+'))!.map((entry) => JSON.parse(entry!.message.event!)),
  }
}

describe('a webhook that is signed well', () => {
  it('GitHub’s documented example comes in, and altered it does not', async () => {
    const { post, events } = await source('github', "It's a Secret to Everybody")
    const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'
    const reply = await post('Hello, World!', { 'x-hub-signature-256': signature })
    expect(reply.status).toBe(202)
    expect(await reply.json()).toMatchObject({
      accepted: 1,
      duplicates: 0,
      events: [{ id: expect.any(String) }],
    })
    for (const [body, sent] of [
      ['Hello, World?', signature],
      ['Hello, World!', signature.replace('7571', '7572')],
      ['Hello, World!', signature.replace('sha256', 'sha1')],
      ['Hello, World!', ''],
    ] as const) {
      const refused = await post(body, { 'x-hub-signature-256': sent })
      expect(refused.status).toBe(401)
      expect((await refused.json()).error.code).toBe('invalid_signature')
    }
    expect(await events()).toMatchObject([{ data: 'Hello, World!' }])
  })

  it('becomes an event with the sender’s id, type and time', async () => {
    const secret = newWebhookSecret()
    const created = now()
    const charge = JSON.stringify({ id: 'evt_1', type: 'charge.failed', created, data: { object: {} } })
    const ofStripe = await source('stripe', secret)
    expect((await ofStripe.post(charge, stripe(secret, charge))).status).toBe(202)
    expect(await ofStripe.events()).toMatchObject([
      {
        ...{ specversion: '1.0', id: 'evt_1', type: 'com.stripe.charge.failed', data: JSON.parse(charge) },
        ...{ source: `/v1/webhooks/${ofStripe.name}`, time: new Date(created * 1000).toISOString() },
      },
    ])

    const message = JSON.stringify({
      type: 'event_callback',
      event_id: 'Ev1',
      event: { type: 'app_mention' },
    })
    const ofSlack = await source('slack', secret)
    expect((await ofSlack.post(message, slack(secret, message))).status).toBe(202)
    expect(await ofSlack.events()).toMatchObject([{ id: 'Ev1', type: 'com.slack.app_mention' }])

    const pull = JSON.stringify({ action: 'opened', number: 1 })
    const ofGithub = await source('github', secret)
    const form = new URLSearchParams({ payload: pull }).toString()
    await ofGithub.post(pull, github(secret, pull, 'pull_request', 'd-1'))
    await ofGithub.post(form, {
      ...github(secret, form, 'pull_request', 'd-2'),
      'content-type': 'application/x-www-form-urlencoded',
    })
    const event = { type: 'com.github.pull_request.opened', data: { action: 'opened', number: 1 } }
    expect(await ofGithub.events()).toMatchObject([
      { id: 'd-1', ...event },
      { id: 'd-2', ...event },
    ])

    const standard = JSON.stringify({
      type: 'invoice.paid',
      timestamp: '2026-01-02T03:04:05Z',
      data: { n: 1 },
    })
    const ofStandard = await source('standard', secret)
    const at = new Date()
    await ofStandard.post(standard, {
      ...{ 'webhook-id': 'msg_1', 'webhook-timestamp': String(Math.floor(at.getTime() / 1000)) },
      'webhook-signature': new Webhook(secret).sign('msg_1', at, standard),
    })
    const stored = { id: 'msg_1', type: 'invoice.paid', time: '2026-01-02T03:04:05.000Z' }
    expect(await ofStandard.events()).toMatchObject([stored])
  })

  it('costs one wave once its source is known', async () => {
    const { post } = await source('stripe', 'a-secret-of-stripe')
    const send = (id: string) => {
      const body = JSON.stringify({ id })
      return post(body, stripe('a-secret-of-stripe', body))
    }
    await send('evt_1')
    await hub.settled()
    const before = hub.waves.length
    expect((await send('evt_2')).status).toBe(202)
    expect(hub.waves.length - before).toBe(1)
    await hub.settled()
  })

  it('is stored once, however often it is sent again', async () => {
    const secret = newWebhookSecret()
    const body = '{"n":1}'
    const { post, events } = await source('standard', secret)
    const headers = signWebhook({ id: 'msg_1', at: Date.now(), body, secrets: [secret] })
    const replies = await Promise.all(Array.from({ length: 5 }, () => post(body, headers)))
    const later = signWebhook({ id: 'msg_1', at: Date.now() + 2_000, body, secrets: [secret] })
    replies.push(await post(body, later)) // its sender tries again, and signs anew
    const counts = await Promise.all(replies.map(async (reply) => (await reply.json()).accepted))
    expect(counts.sort()).toEqual([0, 0, 0, 0, 0, 1])
    expect(await events()).toHaveLength(1)
    // The id is signed: it cannot be given to an old message.
    expect((await post(body, { ...headers, 'webhook-id': 'msg_2' })).status).toBe(401)
  })

  it('is stored once also where its stream takes duplicates', async () => {
    const { post, events, stream } = await source('stripe', 'a-secret-of-stripe')
    expect((await hub.send('PUT', `/v1/events/${stream}`, { dedupe_seconds: 0 }, admin)).status).toBe(200)
    const headers = stripe('a-secret-of-stripe', '{"id":"evt_1"}')
    for (let i = 0; i < 3; i++) expect((await post('{"id":"evt_1"}', headers)).status).toBe(202)
    expect(await events()).toHaveLength(1)
  })

  it('is stored once also where the sender names no id', async () => {
    const { post, events } = await source('slack', 'a-secret-of-slack')
    const body = 'command=%2Fdeploy&text=now'
    const headers = {
      ...slack('a-secret-of-slack', body),
      'content-type': 'application/x-www-form-urlencoded',
    }
    expect((await post(body, headers)).status).toBe(202)
    expect(await (await post(body, headers)).json()).toMatchObject({ accepted: 0, duplicates: 1 })
    expect(await events()).toMatchObject([{ data: { command: '/deploy', text: 'now' } }])
  })

  it('is refused when it comes too late', async () => {
    const { post, events } = await source('stripe', 'a-secret-of-stripe')
    const late = await post('{}', stripe('a-secret-of-stripe', '{}', now() - 301))
    expect(late.status).toBe(401)
    expect((await late.json()).error.message).toContain('300 seconds')
    expect(await events()).toEqual([])
  })

  it('may hold any bytes, and any content type', async () => {
    const { post, events } = await source('github', 'a-secret-of-github')
    const bytes = new Uint8Array([0xff, 0x00, 0xfe])
    const signature = createHmac('sha256', 'a-secret-of-github').update(bytes).digest('hex')
    const reply = await post(bytes, {
      'x-hub-signature-256': `sha256=${signature}`,
      'content-type': 'image/png',
    })
    expect(reply.status).toBe(202)
    expect(await events()).toMatchObject([{ data_base64: '/wD+' }])
  })

  it('GitHub’s ping and Slack’s challenge are answered, and stored nowhere', async () => {
    const challenge = JSON.stringify({
      type: 'url_verification',
      challenge: '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P',
    })
    const ofSlack = await source('slack', 'a-secret-of-slack')
    const reply = await ofSlack.post(challenge, slack('a-secret-of-slack', challenge))
    expect([reply.status, await reply.text()]).toEqual([200, JSON.parse(challenge).challenge])
    expect((await ofSlack.post(challenge, slack('another-secret', challenge))).status).toBe(401)
    const ofGithub = await source('github', 'a-secret-of-github')
    const ping = JSON.stringify({ zen: 'Design for failure.' })
    const answered = await ofGithub.post(ping, github('a-secret-of-github', ping, 'ping', 'd-1'))
    expect(answered.status).toBe(200)
    expect([...(await ofSlack.events()), ...(await ofGithub.events())]).toEqual([])
  })
})

describe('a source', () => {
  it('shows its secret nowhere, in Redis neither', async () => {
    const secret = `secret-${crypto.randomUUID()}`
    const { name, put, path } = await source('stripe', secret)
    const texts = await Promise.all(
      [await put(), await hub.get(`/v1/webhooks/${name}`, admin), await hub.get('/v1/webhooks', admin)].map(
        (reply) => reply.text(),
      ),
    )
    expect(path).toBe(`/v1/webhooks/${name}?tenant=default`)
    for (const text of texts) expect(text).toContain(name)
    const stored = await redis.hGet('webhooks', name)
    expect(stored).toContain('sealed')
    expect([...texts, stored, JSON.stringify(hub.lines)].join()).not.toContain(secret)
  })

  it('takes the secret before for its grace, and no third one', async () => {
    const [first, second, third] = ['the-first-secret', 'the-second-secret', 'the-third-secret']
    const { put, post, name } = await source('stripe', first)
    let n = 0
    const statuses = (secrets: string[]) =>
      Promise.all(
        secrets.map(async (secret) => {
          const body = JSON.stringify({ id: `evt_${++n}` })
          return (await post(body, stripe(secret, body))).status
        }),
      )
    const until = async (reply: Response) => (await reply.json()).previous_secret_until
    expect(await until(await put())).toBeNull() // the same secret again
    expect(Date.parse(await until(await put({ secret: second, grace_seconds: 60 })))).toBeGreaterThan(
      Date.now(),
    )
    expect(await statuses([first, second, third])).toEqual([202, 202, 401])
    await put({ secret: third })
    expect(await statuses([first, second, third])).toEqual([401, 202, 202])
    // Without a secret the rest changes; with no grace the one before goes.
    expect(await until(await put({ secret: undefined }))).not.toBeNull()
    expect(await until(await put({ secret: undefined, grace_seconds: 0 }))).toBeNull()
    expect(await statuses([first, second, third])).toEqual([401, 401, 202])
    const reply = await hub.get(`/v1/webhooks/${name}`, admin)
    expect(await until(reply)).toBeNull()
  })

  it('rotated by two at once keeps two secrets that were set', async () => {
    const { put, post } = await source('stripe', 'the-first-secret')
    await Promise.all([put({ secret: 'the-second-secret' }), put({ secret: 'the-third-secret' })])
    const statuses = await Promise.all(
      ['the-second-secret', 'the-third-secret'].map(
        async (secret) => (await post('{}', stripe(secret, '{}'))).status,
      ),
    )
    expect(statuses).toEqual([202, 202])
  })

  it('of a tenant is that tenant’s', async () => {
    const [tenant, name, stream] = [unique('tenant'), unique('source'), unique('stream')]
    const path = `/v1/webhooks/${name}?tenant=${tenant}`
    const body = { scheme: 'stripe', secret: 'a-secret-of-stripe', target: { stream } }
    expect(await (await hub.send('PUT', path, body, admin)).json()).toMatchObject({ path })
    const send = (to: string) =>
      hub.send('POST', to, '{"id":"evt_1"}', stripe('a-secret-of-stripe', '{"id":"evt_1"}'))
    expect((await send(path)).status).toBe(202)
    expect((await send(`/v1/webhooks/${name}`)).status).toBe(404)
    expect(await redis.xLen(`t:${tenant}:events:${stream}`)).toBe(1)
  })

  it('that is not there answers the same, whatever is missing', async () => {
    const { path } = await source('stripe', 'a-secret-of-stripe')
    const missing = [
      `/v1/webhooks/${unique('none')}`,
      path.replace('tenant=default', `tenant=${unique('none')}`),
      path.replace('tenant=default', 'tenant=a%3Ab'),
      `/v1/webhooks/${'x'.repeat(65)}`,
    ]
    const replies = await Promise.all(missing.map((one) => hub.send('POST', one, '{}')))
    expect(replies.map(({ status }) => status)).toEqual([404, 404, 404, 404])
    expect(new Set(await Promise.all(replies.map((reply) => reply.text()))).size).toBe(1)
  })

  it('is gone when it is deleted', async () => {
    const { name, post } = await source('stripe', 'a-secret-of-stripe')
    expect((await hub.delete(`/v1/webhooks/${name}`, admin)).status).toBe(204)
    expect((await hub.delete(`/v1/webhooks/${name}`, admin)).status).toBe(404)
    expect((await post('{}', stripe('a-secret-of-stripe', '{}'))).status).toBe(404)
  })

  it.each([
    ['an unknown scheme', { scheme: 'gitlab' }, 400, 'scheme'],
    ['no secret', { secret: undefined }, 400, 'secret'],
    ['a secret that is not base64', { scheme: 'standard', secret: 'not base64!' }, 400, 'secret'],
    ['a stream with a colon', { target: { stream: 'a:b' } }, 400, 'target'],
    ['an agent with a slash', { target: { agent: 'a/b' } }, 400, 'target'],
    ['an unknown field', { colour: 'red' }, 400, 'colour'],
  ])('with %s is refused', async (_, change, status, param) => {
    const body = { scheme: 'stripe', secret: 'a-secret-of-stripe', target: { stream: 's' }, ...change }
    const reply = await hub.send('PUT', `/v1/webhooks/${unique('source')}`, body, admin)
    expect(reply.status).toBe(status)
    expect((await reply.json()).error.param).toMatch(new RegExp(`^${param}`))
  })

  it('is an admin’s to set', async () => {
    const made = await hub.send('POST', '/v1/keys', { tenant: unique('tenant') }, admin)
    const member = { authorization: `Bearer ${(await made.json()).key}` }
    const body = { scheme: 'stripe', secret: 'a-secret-of-stripe', target: { stream: 's' } }
    expect((await hub.send('PUT', '/v1/webhooks/x', body, member)).status).toBe(403)
    expect((await hub.get('/v1/webhooks', member)).status).toBe(403)
    expect((await hub.get('/v1/webhooks')).status).toBe(401)
  })

  it('needs HUB_SECRET_KEY, but in local mode the kept key serves', async () => {
    await using plain = await startApp({ env: { ...env, HUB_SECRET_KEY: undefined } })
    const body = { scheme: 'stripe', secret: 'a-secret-of-stripe', target: { stream: 's' } }
    const refused = await plain.send('PUT', '/v1/webhooks/x', body, admin)
    expect(refused.status).toBe(501)
    expect((await refused.json()).error.message).toContain('HUB_SECRET_KEY')
    await using local = await startApp()
    const { post } = await source('stripe', 'a-secret-of-stripe', {}, local)
    expect((await post('{}', stripe('a-secret-of-stripe', '{}'))).status).toBe(202)
  })

  it('whose secrets cannot be opened any more says so to the operator only', async () => {
    const { path } = await source('stripe', 'a-secret-of-stripe')
    await using other = await startApp({ env: { ...env, HUB_SECRET_KEY: 'another key of the tests' } })
    const reply = await other.send('POST', path, '{}', stripe('a-secret-of-stripe', '{}'))
    expect(reply.status).toBe(500)
    expect(await reply.text()).not.toContain('HUB_SECRET_KEY')
    expect(JSON.stringify(other.lines)).toContain('HUB_SECRET_KEY')
  })
})
