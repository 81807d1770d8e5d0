import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { EXIT } from '../../infra/cli/command.ts'
import { unique } from '../support/app.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub, until } from '../support/hub.ts'
import { testRedisUrl } from '../support/redis.ts'

const root = new URL('../..', import.meta.url).pathname

let hub: NodeHub
beforeAll(async () => {
  hub = await startNodeHub({ REDIS_URL: testRedisUrl(), OPENAI_API_KEY: undefined })
})
afterAll(() => hub?.stop())

interface Around {
  url?: string
  env?: Record<string, string>
  stdin?: string
}

/** `npm run hub -- …` as a process of its own. */
function start(args: string[], { url = hub.url, env = {}, stdin = '' }: Around = {}) {
  const child = spawn(process.execPath, [join(root, 'infra/hub.ts'), ...args], {
    env: { PATH: process.env.PATH, HUB_URL: url, HUB_KEY: ADMIN_KEY, ...env },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  child.stdin.end(stdin)
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (part) => {
    said.out += part
  })
  child.stderr.setEncoding('utf8').on('data', (part) => {
    said.err += part
  })
  return { child, said, ended: once(child, 'close').then(([code]) => ({ code, ...said })) }
}
const run = (...args: string[]) => start(args).ended
const lines = (text: string) => text.trim().split('\n')

async function send(method: string, path: string, body: unknown) {
  const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' }
  const reply = await fetch(hub.url + path, { method, headers, body: JSON.stringify(body) })
  expect(reply.status).toBeLessThan(300)
}

/** Stands in for a hub. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const EVENTS = { 'content-type': 'text/event-stream' }

describe('the command line', () => {
  it('tells its version, its commands, and the options and examples of each', async () => {
    const [version, all, one] = await Promise.all([run('--version'), run(), run('events', 'tail', '--help')])
    expect(version).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
    expect(all.code).toBe(0)
    for (const name of ['start', 'doctor', 'ingest', 'ask', 'chat', 'keys', 'events', 'dead'])
      expect(all.out).toMatch(new RegExp(`^  ${name} `, 'm'))
    expect(one.code).toBe(0)
    expect(one.out).toContain('--from <place>')
    expect(one.out).toContain('npm run hub -- events tail orders')
  })

  it.each([
    ['a command', ['serach'], 'Did you mean `search`?'],
    ['an option', ['search', 'x', '--indx', 'i'], 'Did you mean --index?'],
    ['a missing option', ['search', 'x'], '--index is missing'],
    ['a number', ['search', 'x', '--index', 'i', '--top-k', 'many'], '--top-k: many is no number'],
    ['what the hub calls invalid', ['search', 'x', '--index', 'i', '--mode', 'loud'], 'mode'],
  ])('%s that is wrong is 2, with the way out', async (_, args, message) => {
    const { code, out, err } = await run(...args)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(message)
    expect(err).not.toContain('    at ')
  })

  it('ends in the ways that its page explains', () => {
    const page = readFileSync(join(root, 'infra/docs/command-line.md'), 'utf8')
    const explained = [...page.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code))
    expect(explained).toEqual(Object.values(EXIT))
  })

  it('a refused key is 4, and names HUB_KEY without telling the key', async () => {
    const key = 'hub_0123456789abcdef_wrong_key'
    const { code, out, err } = await start(['models'], { env: { HUB_KEY: key } }).ended
    expect({ code, out }).toEqual({ code: 4, out: '' })
    expect(err).toContain('HUB_KEY')
    expect(err).not.toContain(key)
  })

  it('with --json an error is JSON on stderr, and stdout stays empty', async () => {
    const index = unique('none')
    const { code, out, err } = await run('search', 'x', '--index', index, '--json')
    expect({ code, out }).toEqual({ code: 5, out: '' })
    expect(JSON.parse(err).error).toMatchObject({
      ...{ message: expect.stringContaining(index), status: 404, exit: 5 },
    })
  })

  it('gives up a hub that is silent', async () => {
    const url = await serve(() => {})
    const { code, err } = await start(['models', '--timeout', '0.3'], { url }).ended
    expect(code).toBe(3)
    expect(err).toContain('--timeout')
  })

  it('has colours where they are forced, and none otherwise', async () => {
    const [plain, coloured] = await Promise.all([
      run('models'),
      start(['models'], { env: { FORCE_COLOR: '1' } }).ended,
    ])
    expect(plain.out).not.toContain('\u001b')
    expect(coloured.out).toContain('\u001b[')
  })
})

describe('models', () => {
  it('lists them for people and for programs', async () => {
    const [shown, json] = await Promise.all([run('models'), run('models', '--json')])
    expect(lines(shown.out).map((line) => line.split(' ')[0])).toContain('local/local')
    expect(JSON.parse(json.out).completions).toContainEqual(expect.objectContaining({ id: 'local/local' }))
  })
})

describe('keys', () => {
  it('makes a key, shown once and alone on stdout; lists it without it; revokes it', async () => {
    const tenant = unique('tenant')
    const limits = ['--limit', 'requests=100/60', '--budget', '20/monthly']
    const made = await run(
      'keys',
      'create',
      '--tenant',
      tenant,
      '--scopes',
      'search,cache-complete',
      ...limits,
    )
    expect(made.code).toBe(0)
    const key = made.out.trim()
    expect(key).toMatch(/^hub_\S+$/)
    expect(made.err).toContain('keep it')
    expect((await start(['models'], { env: { HUB_KEY: key } }).ended).code).toBe(0)
    expect((await start(['keys'], { env: { HUB_KEY: key } }).ended).code).toBe(4)

    const listed = await run('keys', '--tenant', tenant, '--json')
    expect(listed.out).not.toContain(key)
    const [record] = JSON.parse(listed.out).data
    expect(record).toMatchObject({
      ...{ tenant, scopes: ['search', 'cache-complete'], budget: { usd: 20, period: 'monthly' } },
      limits: [{ on: 'requests', limit: 100, window_seconds: 60 }],
    })
    expect((await run('keys', 'revoke', record.id)).code).toBe(0)
    expect((await start(['models'], { env: { HUB_KEY: key } }).ended).code).toBe(4)
    expect((await run('keys', 'revoke', '0000000000000000')).code).toBe(5)
  })

  it('says what a limit looks like', async () => {
    const { code, err } = await run('keys', 'create', '--tenant', 'x', '--limit', '100 a minute')
    expect(code).toBe(2)
    expect(err).toContain('requests=100/60')
  })
})

describe('ask', () => {
  const chunk = (content: string) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`

  it('shows the answer while it comes, then what it rests on', async () => {
    const { promise: shown, resolve: go } = Promise.withResolvers<void>()
    const url = await serve(async (_, response) => {
      response.writeHead(200, EVENTS).write(chunk('In Paris [1]'))
      await shown
      const citations = [{ document_id: 'tower.md', quote: 'It stands\nin \u001b[31mParis.', source: 1 }]
      const last = { choices: [], answer: 'In Paris [1], I think.', citations, found: true }
      response.end(`${chunk(', I think [2].')}data: ${JSON.stringify(last)}\n\ndata: [DONE]\n\n`)
    })
    const { said, ended } = start(['ask', 'Where?', '--index', 'docs'], { url })
    await until('the first words', () => said.out === 'In Paris [1]')
    go()
    expect(await ended).toMatchObject({
      code: 0,
      out: 'In Paris [1], I think [2].\nNothing in the documents supports [2].\n\n[1] tower.md: “It stands in \ufffd[31mParis.”\n',
    })
  })

  it('an answer that is cut or fails on its way is no success', async () => {
    const cut = await serve((_, response) => void response.writeHead(200, EVENTS).end(chunk('In')))
    const failing = await serve((_, response) => {
      const error = { message: 'The provider went away.', code: 'provider_error' }
      response.writeHead(200, EVENTS).end(`${chunk('In')}data: ${JSON.stringify({ error })}\n\n`)
    })
    const [one, other] = await Promise.all(
      [cut, failing].map((url) => start(['ask', 'Where?', '--index', 'docs'], { url }).ended),
    )
    expect(one).toMatchObject({ code: 1, err: expect.stringContaining('cut') })
    expect(other).toMatchObject({ code: 1, err: expect.stringContaining('The provider went away.') })
  })
})

describe('chat', () => {
  it('answers what is piped in once, with the answer alone on stdout and the cache’s verdict beside it', async () => {
    const stdin = `Say ${unique('word')}`
    const first = await start(['chat'], { stdin }).ended
    expect(first).toMatchObject({ code: 0, out: expect.stringContaining(stdin) })
    expect(first.err).toMatch(/^miss · \d+ ms · local\n$/)
    const again = await start(['chat', '--json'], { stdin }).ended
    expect(again).toMatchObject({ code: 0, err: '' })
    expect(JSON.parse(again.out)).toMatchObject({
      ...{ content: first.out.trim(), model: 'local', cache_status: expect.stringContaining('; hit;') },
    })
  })
})

describe('events tail', () => {
  const post = (stream: string, ...data: unknown[]) => send('POST', `/v1/events/${stream}`, data)

  it('shows what is there from the beginning, and ends after so many', async () => {
    const stream = unique('orders')
    await post(stream, { total: 5 }, { total: 7 }, { total: 9 })
    const args = ['events', 'tail', stream, '--from', 'beginning', '--limit', '2']
    const [shown, json] = await Promise.all([run(...args), run(...args, '--json')])
    expect(shown.code).toBe(0)
    expect(lines(shown.out).map((line) => line.split('  ').at(-1))).toEqual(['{"total":5}', '{"total":7}'])
    const [, second] = lines(json.out).map((line) => JSON.parse(line))
    expect(second.data.data).toEqual({ total: 7 })
    const after = await run('events', 'tail', stream, '--from', second.id, '--limit', '1', '--json')
    expect(JSON.parse(after.out).data.data).toEqual({ total: 9 })
  })

  it('goes on after the last event when the connection breaks', async () => {
    const asked: unknown[] = []
    const url = await serve((request, response) => {
      asked.push(request.headers['last-event-id'])
      response.writeHead(200, EVENTS)
      const n = asked.length
      response.write(`retry: 10\n\nid: ${n}-0\ndata: {"n":${n}}\n\n`)
      if (n === 1) setTimeout(() => response.destroy(), 50)
    })
    const { code, out, err } = await start(['events', 'tail', 'x', '--limit', '2', '--json'], { url }).ended
    expect(code).toBe(0)
    expect(lines(out).map((line) => JSON.parse(line).data)).toEqual([{ n: 1 }, { n: 2 }])
    expect(asked).toEqual([undefined, '1-0'])
    expect(err).toContain('Going on after the last event')
  })

  it('ends where nothing comes, and at Ctrl-C; without a hub it does not begin', async () => {
    const stream = unique('orders')
    expect(await run('events', 'tail', stream, '--timeout', '0.5')).toMatchObject({ code: 1, out: '' })
    const { child, said, ended } = start(['events', 'tail', stream, '--from', 'beginning'])
    await post(stream, { total: 1 })
    await until('the event', () => said.out !== '')
    child.kill('SIGINT')
    expect((await ended).code).toBe(130)
    expect((await start(['events', 'tail', stream], { url: 'http://127.0.0.1:9' }).ended).code).toBe(3)
  })

  it('ends quietly when whoever reads has seen enough', async () => {
    const stream = unique('orders')
    await post(stream, { total: 1 })
    const { child, said } = start(['events', 'tail', stream, '--from', 'beginning'])
    await until('the event', () => said.out !== '')
    child.stdout.destroy()
    await post(stream, { total: 2 }, { total: 3 })
    const [code] = await once(child, 'exit')
    expect({ code, err: said.err }).toEqual({ code: 0, err: '' })
  })
})

describe('dead', () => {
  const doomed = { handler: { type: 'embed', index: 'none' }, retry: { attempts: 1 } }

  it('of a stream: shows the cause, and puts back', async () => {
    const stream = unique('doomed')
    await send('PUT', `/v1/events/${stream}`, doomed)
    await send('POST', `/v1/events/${stream}`, [{ text: 'a' }, { text: 'b' }])
    const list = () => run('dead', '--stream', stream, '--json')
    const two = await until('both are dead', async () => {
      const { data } = JSON.parse((await list()).out)
      return data.length === 2 && data
    })
    const shown = await run('dead', '--stream', stream)
    expect(shown.out).toContain(two[0].id)
    expect(shown.out).toContain('none')
    expect(await run('dead', 'replay', '--stream', stream, two[0].id, '1-1')).toMatchObject({
      ...{ code: 5, out: '1 put back\n', err: expect.stringContaining('1 of them') },
    })
    const all = await run('dead', 'replay', '--stream', stream, '--all', '--json')
    expect(all.code).toBe(0)
    expect(JSON.parse(all.out).replayed).toBeGreaterThanOrEqual(1)
    expect(await run('dead', 'replay', '--stream', stream)).toMatchObject({ code: 2 })
  })

  it('of a queue', async () => {
    const queue = unique('doomed')
    await send('POST', `/v1/queues/${queue}/jobs`, { id: 'a', ...doomed })
    await until('it is dead', async () => (await run('dead', '--queue', queue)).out.includes('none'))
    const cause = ['--queue', queue, '--cause']
    expect(await run('dead', 'replay', ...cause, 'another')).toMatchObject({ code: 0, out: '0 put back\n' })
    expect(await run('dead', 'replay', ...cause, 'none')).toMatchObject({ code: 0, out: '1 put back\n' })
  })
})
