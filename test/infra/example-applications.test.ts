import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createHubClient } from '../../infra/client/client.ts'
import { startShop } from '../../infra/examples/microservice.ts'
import { createWebApp } from '../../infra/examples/web-app/server.ts'
import { newTenant, startAgainAt } from '../support/client.ts'
import { type NodeHub, startNodeHub, until } from '../support/hub.ts'
import { startProxy } from '../support/proxy.ts'
import { testRedisUrl } from '../support/redis.ts'

const root = new URL('../..', import.meta.url).pathname
const env = { REDIS_URL: testRedisUrl(), HUB_BREAKER_MIN_CALLS: '6', HUB_BREAKER_OPEN_SECONDS: '1' }

let node: NodeHub
beforeAll(async () => {
  node = await startNodeHub(env)
})
afterAll(() => node?.stop())

/** All that is said until it ends. */
function listen(child: ChildProcess) {
  const said = { out: '', err: '' }
  child.stdout!.on('data', (part) => {
    said.out += part
  })
  child.stderr!.on('data', (part) => {
    said.err += part
  })
  return { child, said, ended: once(child, 'close').then(([code]) => ({ code, ...said })) }
}

function example(url: string, key: string, ...args: string[]) {
  const child = spawn(process.execPath, [join(root, 'infra/hub.ts'), 'example', ...args], {
    env: { PATH: process.env.PATH, HUB_URL: url, HUB_KEY: key },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return listen(child)
}

describe('the web app', () => {
  it('keeps the hub’s key, and its page hears of changes, also past a hub that starts again', async () => {
    const mortal = await startNodeHub(env)
    onTestFinished(() => mortal.stop())
    const { hub, key } = await newTenant(mortal.url, { scopes: ['sessions', 'realtime'] })
    const app = createWebApp({ hub, hubUrl: mortal.url, clientBundle: '// the client' })
    const replies: string[] = []
    let cookie = ''
    const browse = async (method: string, path: string, body?: object) => {
      const headers = { cookie, 'content-type': 'application/json', origin: 'http://localhost' }
      const reply = await app.request(path, { method, headers, body: body && JSON.stringify(body) })
      const text = await reply.text()
      replies.push(text, ...[...reply.headers].flat())
      return {
        status: reply.status,
        headers: reply.headers,
        body: text.startsWith('{') ? JSON.parse(text) : text,
      }
    }

    expect((await browse('GET', '/api/me')).status).toBe(401)
    const login = await browse('POST', '/login', { user: 'ada' })
    const set = login.headers.get('set-cookie')!
    expect(set).toMatch(/^sid=[^;]+; .*HttpOnly/)
    expect(set).toContain('SameSite=Strict')
    cookie = set.split(';')[0]!
    const me = (await browse('GET', '/api/me')).body
    expect(me).toMatchObject({ user: 'ada', preferences: {}, hub: mortal.url })
    expect((await browse('GET', '/')).headers.get('content-security-policy')).toContain(mortal.url)

    // What page.js does.
    const left = new AbortController()
    onTestFinished(() => left.abort())
    const heard: unknown[] = []
    const page = createHubClient({ baseUrl: me.hub })
    void (async () => {
      for await (const { type, data } of page.follow('GET /v1/realtime/{channel}', {
        ...{ path: { channel: me.channel }, signal: left.signal },
        token: async () => (await browse('POST', '/api/token')).body.token,
      }))
        if (type === 'preferences') heard.push((data as { patch: unknown }).patch)
    })()
    let turns = 0
    await until('the page listens', async () => {
      await browse('PATCH', '/api/preferences', { turns: ++turns })
      return heard.length > 0
    })
    await mortal.kill()
    const again = await startAgainAt(mortal.url, env)
    onTestFinished(() => again.stop())
    expect((await browse('PATCH', '/api/preferences', { theme: 'dark' })).body.preferences).toMatchObject({
      theme: 'dark',
    })
    await until('the page hears of it', () => heard.some((patch) => 'theme' in (patch as object)))
    expect((await browse('GET', '/api/me')).body.preferences).toMatchObject({ theme: 'dark', turns })

    expect((await browse('POST', '/api/logout')).status).toBe(204)
    expect((await browse('GET', '/api/me')).status).toBe(401) // the cookie is worth nothing now
    expect(replies.join()).not.toContain(key)
  }, 120_000)

  it('is served with one command', async () => {
    const { key } = await newTenant(node.url)
    const { child, said, ended } = example(node.url, key, 'web-app')
    const url = await until('it is served', () => /Open (http:\S+)/.exec(said.out)?.[1], 30_000)
    expect(await (await fetch(url)).text()).toContain('/page.js')
    expect(await (await fetch(`${url}/page.js`)).text()).toContain('hub.follow')
    expect(await (await fetch(`${url}/client.js`)).text()).toContain('createHubClient')
    const login = await fetch(`${url}/login`, { method: 'POST', body: '{"user":"ada"}' })
    expect(login.status).toBe(403) // what a form of another page could send
    child.kill('SIGINT')
    expect(await ended).toMatchObject({ code: 0, err: '' })
  }, 120_000)
})

describe('the microservice', () => {
  it('is shown with one command', async () => {
    const { key } = await newTenant(node.url)
    const { code, out, err } = await example(node.url, key, 'microservice', '--json').ended
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const { instances, runs, asked, reached } = JSON.parse(out)
    expect(instances).toBe(2)
    expect(runs).toBeGreaterThan(1)
    expect(reached).toBeGreaterThanOrEqual(6)
    expect(asked).toBeGreaterThan(reached)
  }, 120_000)

  it('gives each run its number once, and goes on following, though the hub is killed and starts again', async () => {
    const mortal = await startNodeHub(env)
    onTestFinished(() => mortal.stop())
    const { key, hub } = await newTenant(mortal.url)
    const ended = new AbortController()
    const shops = await Promise.all(
      ['a', 'b', 'c'].map((instance) =>
        startShop({
          ...{ hub: createHubClient({ baseUrl: mortal.url, key }), instance, url: 'http://127.0.0.1:1' },
          ...{ warehouse: 'http://127.0.0.1:1', say() {}, jobEveryMs: 10, signal: ended.signal },
        }),
      ),
    )
    onTestFinished(() => ended.abort())
    const job = { path: { namespace: 'shop-job' } }
    const runs = () =>
      hub.call('GET /v1/config/{namespace}', { ...job, retries: 20 }).then(
        ({ version }) => version,
        () => 0, // none yet
      )
    await until('some runs', async () => (await runs()) > 5)
    await mortal.kill()
    const again = await startAgainAt(mortal.url, env)
    onTestFinished(() => again.stop())
    const before = await runs()
    await until('more runs', async () => (await runs()) > before + 5, 30_000)
    const path = { namespace: 'shop' }
    await hub.call('PUT /v1/config/{namespace}', { path, body: { markup: 7 } })
    await until('all follow', () => shops.every(({ markup }) => markup === 7))
    ended.abort()
    await Promise.all(shops.map((shop) => shop.end()))
    const last = await hub.call('GET /v1/config/{namespace}', job)
    // A number that was written twice would have made no version, one that was left out a lower one.
    expect(last.values.run).toBe(last.version)
    const { data } = await hub.call('GET /v1/services/{name}', { path: { name: 'shop' } })
    expect(data).toEqual([])
  }, 90_000)
})

describe('the device', () => {
  async function device(url: string, key: string, more: Record<string, string> = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'hub-device-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const child = spawn('sh', [join(root, 'infra/examples/iot.sh')], {
      ...{ cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] },
      env: { PATH: process.env.PATH, HUB_URL: url, HUB_KEY: key, ...more },
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    return { ...listen(child), spool: join(folder, 'readings.ndjson') }
  }
  const lengthOf = async ({ hub }: Awaited<ReturnType<typeof newTenant>>) =>
    (await hub.call('GET /v1/events/{stream}/stats', { path: { stream: 'readings' } })).length

  it('is shown with one command', async () => {
    const { key } = await newTenant(node.url, { scopes: ['ingest-event', 'features'] })
    const { code, out, err } = await example(node.url, key, 'iot', '--json').ended
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(JSON.parse(out)).toMatchObject({ accepted: 20, duplicates: 0, status: 'done' })
  }, 120_000)

  it('keeps what the hub did not take, and brings it once, when its reply is lost too', async () => {
    const tenant = await newTenant(node.url)
    const proxy = await startProxy(node.url)
    onTestFinished(proxy.close)
    proxy.stall()
    const { said, ended, spool } = await device(proxy.url.replace(/\/$/, ''), tenant.key, { TIMEOUT: '2' })
    await until('the hub has them', async () => (await lengthOf(tenant)) === 20)
    expect(readFileSync(spool, 'utf8').trim().split('\n')).toHaveLength(20)
    await until('it has waited in vain', () => said.err.includes('Attempt 1: 000'))
    proxy.resume()
    const { code, out } = await ended
    expect(code).toBe(0)
    expect(out).toContain('"accepted":0,"duplicates":20')
    expect(await lengthOf(tenant)).toBe(20)
    expect(readFileSync(spool, 'utf8')).toBe('')
  }, 120_000)

  it('waits for a hub that is away, and says what does not pass by itself', async () => {
    const tenant = await newTenant(node.url)
    const mortal = await startNodeHub(env)
    await mortal.kill()
    const { said, ended } = await device(mortal.url, tenant.key, { READINGS: '3' })
    await until('it has tried', () => said.err.includes('Attempt 1'))
    const again = await startAgainAt(mortal.url, env)
    onTestFinished(() => again.stop())
    expect(await ended).toMatchObject({ code: 0, out: expect.stringContaining('"accepted":3') })
    const refused = await device(node.url, 'hub_x')
    expect(await refused.ended).toMatchObject({ code: 1, err: expect.stringContaining('invalid_api_key') })
  }, 120_000)
})
