import { expect, test, vi } from 'vitest'
import { createLog } from '../../infra/log.ts'
import { HubError } from '../../shared/errors.ts'

/** What a log with these variables writes of a line. */
function written(line: Record<string, unknown>, variables: Record<string, string> = {}): string {
  const texts: string[] = []
  const take = (text: string) => void texts.push(text)
  const spies = [
    vi.spyOn(console, 'error').mockImplementation(take),
    vi.spyOn(console, 'log').mockImplementation(take),
  ]
  try {
    const log = createLog(variables)
    log.info(line)
    log.error(line)
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
  return texts.join('\n')
}

const SECRETS: [string, string, string][] = [
  ['a hub key', 'the key hub_0123456789abcdef_AAAAAAAAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBBBBBBB_acme', 'BBBBBBBB'],
  ['a provider’s key', 'refused sk-proj-abcDEF123456_xyz by openai', 'abcDEF123456'],
  ['Anthropic’s', 'sk-ant-api03-qwertyuiop', 'qwertyuiop'],
  ['a webhook’s secret', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'MfKQ9r8G'],
  ['a bearer token', 'Authorization: Bearer abc.def-ghi_jkl', 'abc.def-ghi'],
  ['basic credentials', 'authorization=Basic dXNlcjpwYXNzd29yZA==', 'dXNlcjpw'],
  ['a password in a URL', 'redis://default:p4ss-w0rd@10.0.0.1:6379/0', 'p4ss-w0rd'],
  ['one with signs', 'connect to rediss://u:a%40b@c:d@h.example:1 failed', 'a%40b'],
  ['a token in a query', 'GET https://h.example/x?a=1&access_token=qwertz123&b=2', 'qwertz123'],
  ['a signature in a query', 'https://h.example/x?X-Amz-Signature=abcd1234', 'abcd1234'],
  ['a key in JSON', '{"api_key":"kkkkkkkk1","n":1}', 'kkkkkkkk1'],
  ['a JWT', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP', 'dBjftJeZ4CVP'],
  ['a GitHub token', 'ghp_16C7e42F292c6912E7710c838347Ae178B4a', '16C7e42F'],
  ['a Google key', 'AIzaSyA1234567890abcdefghijklmnopqrstuv', '1234567890abc'],
]

test.each(SECRETS)('%s is not written, wherever in the line it is', (_, text, secret) => {
  for (const line of [
    { msg: text },
    { msg: 'It failed', cause: new Error(text) },
    { msg: 'It failed', cause: new TypeError(text) },
    { msg: 'It failed', cause: new HubError({ code: 'x', status: 502, message: text }) },
    { msg: 'It failed', about: { list: [{ deep: text }] } },
    { msg: 'It failed', at: new Map([['where', text]]) },
  ]) {
    expect(written(line)).not.toContain(secret)
    expect(written(line, { HUB_LOG_CONTENT: 'on' })).not.toContain(secret)
  }
})

test('fields that are secret by their name are hidden, whatever they hold', () => {
  const headers = new Headers({ Authorization: 'plain', cookie: 'a=b', 'x-api-key': 'short', accept: 'all' })
  const line = written({ msg: 'x', headers, password: 'pw', client_secret: 'cs', key: 'the id of a key' })
  expect(JSON.parse(line.split('\n')[0]!)).toMatchObject({
    headers: { authorization: '[redacted]', cookie: '[redacted]', 'x-api-key': '[redacted]', accept: 'all' },
    ...{ password: '[redacted]', client_secret: '[redacted]', key: 'the id of a key' },
  })
})

test('what people wrote is hidden, and what others quote of it, until the operator wants it', () => {
  const prompt = 'my diagnosis is'
  const cause = new Error(`openai answered 400: You said "${prompt}"`)
  const line = {
    msg: 'openai failed with 500: echo of my diagnosis is',
    messages: [{ content: prompt }],
    cause,
  }
  const hidden = written(line)
  expect(hidden).not.toContain(prompt)
  expect(hidden).toContain('openai answered 400: [redacted]')
  const shown = JSON.parse(written(line, { HUB_LOG_CONTENT: 'on' }).split('\n').at(-1)!)
  expect(shown.cause).toContain(prompt)
  expect(shown.messages).toEqual([{ content: prompt }])
})

test('what is no secret stays as it is', () => {
  const line = {
    msg: 'Redis is away: connect ECONNREFUSED 127.0.0.1:6379',
    stream: 'orders',
    url: 'https://h.example/path?page=2#top',
    at: 'user@example.com',
    count: 3,
    none: null,
  }
  expect(JSON.parse(written(line).split('\n')[0]!)).toEqual({ level: 'info', ...line })
})

test('a long text of a stranger takes no long time', () => {
  const long = `${'Bearer '.repeat(50_000)}${'a://'.repeat(50_000)}${'x-api-key: '.repeat(20_000)}`
  expect(written({ msg: long, cause: new Error(long) }).length).toBeLessThan(100_000)
})

test('levels: HUB_LOG_LEVEL, else LOG_LEVEL', () => {
  const line = { msg: 'x' }
  expect(written(line).split('\n')).toHaveLength(2)
  expect(JSON.parse(written(line, { LOG_LEVEL: 'error' }))).toMatchObject({ level: 'error' })
  expect(written(line, { HUB_LOG_LEVEL: 'info', LOG_LEVEL: 'silent' }).split('\n')).toHaveLength(2)
  expect(written(line, { HUB_LOG_LEVEL: 'silent' })).toBe('')
})
