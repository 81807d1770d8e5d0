import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { TOLERANCE_SECONDS, verifyWebhook, type WebhookScheme } from '../../../shared/webhooks/schemes.ts'
import { newWebhookSecret, signWebhook } from '../../../shared/webhooks/signing.ts'

interface Example {
  scheme: WebhookScheme
  secret: string
  body: string
  headers: Record<string, string>
  /** Unix seconds; none where the sender signs no time. */
  at?: number
  signatureHeader: string
}

const stripeBody = `${JSON.stringify(
  {
    ...{
      id: 'evt_123',
      object: 'event',
      account: 'acct_123',
      api_version: '2017-05-25',
      created: 1533204620,
    },
    data: {
      object: {
        ...{ id: 'cus_123', object: 'customer', created: 123456789, email: 'test@stripe.com' },
        ...{ livemode: false, metadata: {} },
      },
    },
    ...{ livemode: false, pending_webhooks: 1 },
    request: { id: 'req_123', idempotency_key: 'idempotency-key-123' },
    type: 'customer.created',
  },
  null,
  2,
)}\n`

/** Numbers that the senders publish themselves. */
const documented: Record<string, Example> = {
  // docs.github.com: Validating webhook deliveries, "Testing the webhook payload validation"
  GitHub: {
    scheme: 'github',
    secret: "It's a Secret to Everybody",
    body: 'Hello, World!',
    headers: {
      'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
    },
    signatureHeader: 'x-hub-signature-256',
  },
  // stripe-dotnet: event_test_signature.json with EventUtilityTest.cs
  Stripe: {
    scheme: 'stripe',
    secret: 'webhook_secret',
    body: stripeBody,
    headers: {
      'stripe-signature':
        't=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7,v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef',
    },
    at: 1533204620,
    signatureHeader: 'stripe-signature',
  },
  // docs.slack.dev: Verifying requests from Slack
  Slack: {
    scheme: 'slack',
    secret: '8f742231b10e8888abcd99yyyzzz85a5',
    body: 'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c',
    headers: {
      'x-slack-request-timestamp': '1531420618',
      'x-slack-signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
    },
    at: 1531420618,
    signatureHeader: 'x-slack-signature',
  },
  // The example of the libraries of Standard Webhooks
  'Standard Webhooks': {
    scheme: 'standard',
    secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    body: '{"test": 2432232314}',
    headers: {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    },
    at: 1614265330,
    signatureHeader: 'webhook-signature',
  },
}

const verify = (example: Example, more: Partial<Example> = {}, secrets?: string[], lateBySeconds = 0) => {
  const { scheme, secret, body, headers, at = 1_700_000_000 } = { ...example, ...more }
  const request = { headers: new Headers(headers), body: new TextEncoder().encode(body) }
  return () =>
    verifyWebhook(scheme, request, secrets ?? [secret], ((example.at ?? at) + lateBySeconds) * 1000)
}

describe.each(Object.entries(documented))('%s’s documented example', (_, example) => {
  const { headers, signatureHeader, body, secret } = example
  const refused = expect.objectContaining({ status: 401, code: 'invalid_signature' })
  const withSignature = (change: (signature: string) => string) => ({
    headers: { ...headers, [signatureHeader]: change(headers[signatureHeader]!) },
  })

  it('verifies, and names the message the same each time', () => {
    const name = verify(example)()
    expect(name).toMatch(/^[\w-]{43}$/)
    expect(verify(example)()).toBe(name)
  })

  it.each(Array.from({ length: 8 }, (_, i) => Math.floor((i * (body.length - 1)) / 7)))(
    'does not with the body’s byte %i altered',
    (at) => {
      const altered = body.slice(0, at) + String.fromCharCode(body.charCodeAt(at) ^ 1) + body.slice(at + 1)
      expect(verify(example, { body: altered })).toThrow(refused)
    },
  )

  it.each<[string, () => Partial<Example>]>([
    ['a byte more', () => ({ body: `${body} ` })],
    ['no body', () => ({ body: '' })],
    ['another secret', () => ({ secret: `${secret.slice(0, -1)}A` })],
    ['no signature', () => ({ headers: {} })],
    [
      'a signature of another scheme',
      () => withSignature((text) => text.replace(/(sha256=|v1[=,]|v0=)/, 'v9=')),
    ],
    [
      'a signature cut short',
      () => withSignature((text) => text.replace(/([=,])([\w+/]{10})[\w+/=]*/g, '$1$2')),
    ],
    ['an empty one', () => withSignature((text) => text.replace(/(sha256=|v1[=,]|v0=)[\w+/=]+/, '$1'))],
    ['nonsense', () => withSignature(() => '\u00ff;;=,v1=,v0=,sha256=,v1,')],
  ])('does not with %s', (_, altered) => {
    expect(verify(example, altered())).toThrow(refused)
  })

  it('verifies with either of two secrets', () => {
    expect(verify(example, {}, [newWebhookSecret(), secret])()).toBeTypeOf('string')
    expect(verify(example, {}, [secret, newWebhookSecret()])()).toBeTypeOf('string')
    expect(verify(example, {}, [])).toThrow(refused)
  })

  it('verifies where one of several signatures is right', () => {
    const separator = example.scheme === 'standard' ? ' ' : ','
    const wrong = { standard: 'v1,AAAA', github: 'sha256=00', stripe: 'v1=00', slack: 'v0=00' }[
      example.scheme
    ]
    expect(
      verify(
        example,
        withSignature((text) => `${text}${separator}${wrong}`),
      )(),
    ).toBeTypeOf('string')
  })

  const timed = example.at === undefined ? [] : [example.at]
  it.each(timed)('holds for five minutes, both ways of %i', () => {
    for (const side of [-1, 1]) {
      expect(verify(example, {}, undefined, side * TOLERANCE_SECONDS)()).toBeTypeOf('string')
      expect(verify(example, {}, undefined, side * (TOLERANCE_SECONDS + 1))).toThrow(/signed time/)
    }
  })

  it.each(timed)('does not with another time than %i', (at) => {
    const moved = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replaceAll(String(at), String(at + 1))]),
    )
    expect(verify(example, { headers: moved })).toThrow(refused)
  })
})

describe('what the hub signs', () => {
  const body = JSON.stringify({ type: 'alert.fired', data: { text: 'grüß dich 👋' } })
  const sign = (secrets: string[], at = Date.now()) => signWebhook({ id: 'msg_1', at, body, secrets })

  it('is verified by the library of Standard Webhooks', () => {
    const secret = newWebhookSecret()
    expect(new Webhook(secret).verify(body, sign([secret]))).toEqual(JSON.parse(body))
    expect(() => new Webhook(newWebhookSecret()).verify(body, sign([secret]))).toThrow('signature')
  })

  it('is verified by both secrets while they change', () => {
    const secrets = [newWebhookSecret(), newWebhookSecret()]
    for (const secret of secrets) expect(new Webhook(secret).verify(body, sign(secrets))).toBeTruthy()
  })

  it('is verified by what takes webhooks in', () => {
    const secret = newWebhookSecret()
    const request = { headers: new Headers(sign([secret])), body: new TextEncoder().encode(body) }
    expect(verifyWebhook('standard', request, [secret], Date.now())).toBeTypeOf('string')
  })

  it('has no signature without a secret', () => {
    expect(Object.keys(sign([]))).toEqual(['webhook-id', 'webhook-timestamp'])
  })

  it.each(['', 'whsec_', 'whsec_c2hvcnQ=', 'not base64 at all, but long enough', `whsec_${'A'.repeat(400)}`])(
    'is not signed with `%s`',
    (secret) => {
      expect(() => sign([secret])).toThrow(/base64/)
    },
  )
})
