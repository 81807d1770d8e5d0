import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { diagnose } from '../../infra/doctor/diagnose.ts'
import { freePort } from '../../infra/local-redis/run-redis.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { credentialsKey } from '../../shared/keys.ts'
import { startTestBridge } from '../support/bridge.ts'
import { selfSigned } from '../support/certificate.ts'
import { startNodeHub, until } from '../support/hub.ts'
import { findOldRedis } from '../support/old-redis.ts'
import { startTestRedis } from '../support/redis.ts'
import { startVectorBridge } from '../support/vector-bridge.ts'

type Variables = Record<string, string>

const root = new URL('../..', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'hub-doctor-'))
const base = { PORT: '0', HUB_DATA_DIR: folder }

let sound: Awaited<ReturnType<typeof startTestRedis>>
beforeAll(async () => {
  sound = await startTestRedis({ persist: true })
})
afterAll(async () => {
  await sound?.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function start(options: Parameters<typeof startTestRedis>[0]) {
  const redis = await startTestRedis(options)
  onTestFinished(() => redis.stop())
  return redis
}

/** What is not well. */
async function complaints(env: Variables, levels = ['fault']) {
  const findings = await diagnose({ ...base, REDIS_URL: sound.url, ...env })
  return findings.filter(({ level }) => levels.includes(level))
}

const says = (check: string, message: RegExp, cure: RegExp) => ({
  ...{ check, message: expect.stringMatching(message), cure: expect.stringMatching(cure) },
})

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

it('finds nothing wrong with what is right', async () => {
  expect(await complaints({}, ['fault', 'warning'])).toEqual([])
  const checks = (await diagnose({ ...base, REDIS_URL: sound.url })).map(({ check }) => check)
  expect(checks).toEqual(
    expect.arrayContaining(['Node', 'Environment', 'Keys', 'Redis', 'Redis clock', 'Redis writes']),
  )
})

describe('names the fault and the cure of', () => {
  it('a wrong password, which it does not repeat', async () => {
    const url = sound.url.replace(encodeURIComponent(sound.password), 'not-the-password')
    const found = await complaints({ REDIS_URL: url })
    expect(found).toMatchObject([
      says('Redis', /refuses the password.*WRONGPASS/, /right one into REDIS_URL/),
    ])
    expect(JSON.stringify(found)).not.toContain('not-the-password')
  })

  it('Redis 6', { timeout: 120_000 }, async () => {
    const redis = await start({ server: await findOldRedis(6) })
    expect(await complaints({ REDIS_URL: redis.url })).toMatchObject([
      says('Redis', /^Redis 6\.0\.\d+ is too old/, /Upgrade to Redis 8/),
      says('Redis vectors', /no vectors/, /Redis 8/),
    ])
  })

  it('a Redis without vectors', { timeout: 120_000 }, async () => {
    const redis = await start({ server: await findOldRedis(7) })
    expect(await complaints({ REDIS_URL: redis.url })).toMatchObject([
      says('Redis vectors', /neither vector sets nor RediSearch/, /Redis 8 or Redis Stack/),
    ])
    expect(await complaints({ REDIS_URL: redis.url, FUNCTIONS: 'cache-complete' })).toEqual([])
  })

  it('a clock that is wrong', async () => {
    const ahead = await startSkewed(sound.url, 600)
    expect(await complaints({ REDIS_URL: ahead })).toMatchObject([
      says('Redis clock', /(599|600)\.\d s ahead/, /NTP/),
    ])
    const behind = await startSkewed(sound.url, -3)
    expect(await complaints({ REDIS_URL: behind }, ['warning'])).toMatchObject([
      says('Redis clock', /\d\.\d s behind/, /NTP/),
    ])
  })

  it('a missing key', async () => {
    expect(await complaints({ HUB_ASK_MODEL: 'openai/gpt-4o-mini' })).toMatchObject([
      says(
        'Providers',
        /HUB_ASK_MODEL is openai\/gpt-4o-mini, and OPENAI_API_KEY is not set/,
        /^Set OPENAI_API_KEY/,
      ),
    ])
    expect(
      await complaints({ HUB_EMBEDDING_MODEL: 'nobody/x', HUB_DEFAULT_PROVIDER: 'mistral' }),
    ).toMatchObject([
      says('Providers', /no provider nobody/, /Name one of openai/),
      says('Providers', /MISTRAL_API_KEY is not set/, /MISTRAL_API_KEY/),
    ])
    expect(await complaints({ HOST: '0.0.0.0' })).toMatchObject([
      says('Keys', /HUB_ADMIN_KEY is not set/, /long random text/),
    ])
  })

  it('a provider that cannot be reached, or refuses', async () => {
    const away = { OPENAI_API_KEY: 'sk-secret', OPENAI_BASE_URL: `http://127.0.0.1:${await freePort()}/v1` }
    const found = await complaints(away)
    expect(found).toMatchObject([
      says('Provider openai', /cannot be reached: .*ECONNREFUSED/, /Start the server/),
    ])
    expect(JSON.stringify(found)).not.toContain('sk-secret')
    const unknown = { OPENAI_API_KEY: 'sk', OPENAI_BASE_URL: 'http://no-such-host.invalid/v1' }
    expect(await complaints(unknown)).toMatchObject([
      says('Provider openai', /no-such-host\.invalid cannot be reached/, /DNS|firewall/),
    ])
    const refusing = createHttpServer((_, response) => void response.writeHead(401).end('{}'))
    const url = `http://127.0.0.1:${await listening(refusing)}/v1`
    expect(await complaints({ OPENAI_API_KEY: 'sk', OPENAI_BASE_URL: url })).toMatchObject([
      says('Provider openai', /refuses OPENAI_API_KEY \(401\)/, /Copy the key/),
    ])
  })

  it('a full disk', async () => {
    const directory = mkdtempSync(join(folder, 'disk-'))
    execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', directory])
    onTestFinished(() => void execFileSync('/bin/umount', ['--lazy', directory]))
    const redis = await start({ persist: true, directory })
    const client = createRedisResp({ url: redis.url })
    onTestFinished(() => client.close())
    const little = await complaints({ REDIS_URL: redis.url }, ['warning'])
    expect(little).toMatchObject([says('Redis persistence', /Only \d MiB are free in/, /Free space/)])
    expect(() => writeFileSync(join(directory, 'filler'), new Uint8Array(4 * 2 ** 20))).toThrow('ENOSPC')
    await until('it can write no more', async () => {
      const [reply] = await client.wave([['SET', 'x', 'x'.repeat(10_000)]], { timeoutMs: 5_000 })
      return reply instanceof Error
    })
    expect(await complaints({ REDIS_URL: redis.url })).toMatchObject([
      says('Redis writes', /disk is full: MISCONF/, /Free space where Redis keeps its data/),
      says('Redis persistence', /append-only file failed/, /Free space/),
    ])
  })

  it('a read-only replica', async () => {
    const { port, password } = sound
    const config = `replicaof 127.0.0.1 ${port}\nmasterauth ${JSON.stringify(password)}`
    const replica = await start({ config })
    expect(await complaints({ REDIS_URL: replica.url })).toMatchObject([
      says(
        'Redis writes',
        new RegExp(`read-only replica of 127.0.0.1:${port}`),
        /Name the primary in REDIS_URL/,
      ),
    ])
  })

  it('an eviction policy that loses state', async () => {
    const redis = await start({ config: 'maxmemory 100mb\nmaxmemory-policy allkeys-lru' })
    expect(await complaints({ REDIS_URL: redis.url })).toMatchObject([
      says(
        'Redis memory',
        /allkeys-lru.*throws away locks, agents and events/,
        /maxmemory-policy noeviction.*HUB_CACHE_REDIS_URL/,
      ),
    ])
    // A cache may be evicted, and should be.
    expect(await complaints({ HUB_CACHE_REDIS_URL: redis.url }, ['fault', 'warning'])).toEqual([])
  })

  it('a port that is taken, and by whom', async () => {
    const port = await listening(createServer((socket) => socket.destroy()))
    expect(await complaints({ PORT: String(port) })).toMatchObject([
      says('Port', new RegExp(`${port} is taken by something that is no hub`), /Set PORT to another/),
    ])
    await using hub = await startNodeHub({ REDIS_URL: sound.url })
    const taken = { PORT: new URL(hub.url).port, HUB_URL: hub.url }
    expect(await complaints(taken, ['fault', 'warning'])).toMatchObject([
      says('Port', /taken by a hub that runs already/, /second hub/),
    ])
    expect(
      await complaints({ HOST: '192.0.2.1', PORT: '8787', HUB_ADMIN_KEY: 'x'.repeat(20) }),
    ).toMatchObject([says('Port', /no address of this machine/, /127\.0\.0\.1/)])
  })

  it('an environment that cannot be read, each variable of it', async () => {
    const env = { REDIS_URL: 'localhost', HUB_BREAKER_FAILURE_RATE: '7', FUNCTIONS: 'search,nonsense' }
    const found = await complaints(env)
    expect(found).toMatchObject([
      says('Environment', /^REDIS_URL: must look like/, /A Redis over RESP/),
      says('Environment', /^HUB_BREAKER_FAILURE_RATE: /, /remove it/),
      says('Functions', /nonsense/, /cache-complete/),
    ])
    expect(await complaints({ UPSTASH_VECTOR_REST_URL: 'https://x.example' })).toMatchObject([
      says('Environment', /^UPSTASH_VECTOR_REST_TOKEN: is missing/, /token/),
    ])
  })

  it('an address where no Redis is, or one that asks for a password', async () => {
    expect(await complaints({ REDIS_URL: `redis://127.0.0.1:${await freePort()}` })).toMatchObject([
      says('Redis', /does not run.*ECONNREFUSED/s, /Start it/),
    ])
    expect(await complaints({ REDIS_URL: 'redis://no-such-host.invalid:6379' })).toMatchObject([
      says('Redis', /host name/, /Correct the host/),
    ])
    expect(await complaints({ REDIS_URL: `redis://127.0.0.1:${sound.port}` })).toMatchObject([
      says('Redis', /asks for a password/, /REDIS_URL/),
    ])
    expect(await complaints({ REDIS_URL: sound.url.replace('redis:', 'rediss:') })).toMatchObject([
      says('Redis', /does not speak TLS/, /redis:\/\/ in place of rediss/),
    ])
  })

  it('a user who may not do what the hub does', async () => {
    const redis = await start({ config: 'user hub on >pw-of-hub ~* &* +@all -eval -publish -vcard' })
    const url = `redis://hub:pw-of-hub@127.0.0.1:${redis.port}`
    expect(await complaints({ REDIS_URL: url })).toMatchObject([
      says('Redis rights', /user hub of REDIS_URL may not use EVAL, PUBLISH/, /hub\.acl/),
      says('Redis vectors', /may use neither/, /hub\.acl/),
    ])
  })

  it('a wrong token of a Redis over HTTP', async () => {
    const bridge = await startTestBridge({ redisUrl: sound.url })
    onTestFinished(() => bridge.close())
    const env = { REDIS_URL: '', UPSTASH_REDIS_REST_URL: bridge.url }
    expect(await complaints({ ...env, UPSTASH_REDIS_REST_TOKEN: bridge.token })).toEqual([])
    expect(await complaints({ ...env, UPSTASH_REDIS_REST_TOKEN: 'another' })).toMatchObject([
      says('Redis', /refuses/, /UPSTASH_REDIS_REST_TOKEN/),
    ])
  })

  it('a certificate that is not trusted here', async () => {
    const redis = await start({ tls: await selfSigned() })
    expect(await complaints({ REDIS_URL: redis.url })).toMatchObject([
      says('Redis', /certificate that is not trusted here/, /NODE_EXTRA_CA_CERTS/),
    ])
  })

  it('a wrong token or address of Upstash Vector', async () => {
    const bridge = await startVectorBridge({ redisUrl: sound.url, name: 'doctor', dimension: 3 })
    onTestFinished(() => bridge.close())
    const env = { UPSTASH_VECTOR_REST_URL: bridge.url, UPSTASH_VECTOR_REST_TOKEN: bridge.token }
    expect(await complaints(env)).toEqual([])
    expect(await complaints({ ...env, UPSTASH_VECTOR_REST_TOKEN: 'another' })).toMatchObject([
      says('Upstash Vector', /refuses the token/, /UPSTASH_VECTOR_REST_TOKEN/),
    ])
    expect(await complaints({ ...env, UPSTASH_VECTOR_REST_URL: `${bridge.url}/nowhere` })).toMatchObject([
      says('Upstash Vector', /answers 404/, /UPSTASH_VECTOR_REST_URL/),
    ])
    const url = `http://127.0.0.1:${await freePort()}`
    expect(await complaints({ ...env, UPSTASH_VECTOR_REST_URL: url })).toMatchObject([
      says('Upstash Vector', /cannot be reached: .*ECONNREFUSED/, /UPSTASH_VECTOR_REST_URL/),
    ])
  })

  it('a RedisAI that is none', async () => {
    expect(await complaints({ HUB_REDISAI_URL: sound.url })).toMatchObject([
      says('RedisAI', /has no RedisAI/, /remove HUB_REDISAI_URL/),
    ])
  })

  it('credentials that nobody can open', async () => {
    const redis = await start({})
    const client = createRedisResp({ url: redis.url })
    onTestFinished(() => client.close())
    await client.wave([['HSET', credentialsKey('default'), 'openai/main', 'sealed']], { timeoutMs: 5_000 })
    const env = { REDIS_URL: redis.url, HUB_ADMIN_KEY: 'a-long-admin-key-of-tests' }
    expect(await complaints(env)).toMatchObject([
      says('Redis secrets', /HUB_SECRET_KEY is not set/, /Set HUB_SECRET_KEY/),
    ])
    expect(await complaints({ ...env, HUB_SECRET_KEY: 'short' }, ['fault', 'warning'])).toMatchObject([
      { check: 'Keys', message: expect.stringContaining('HUB_SECRET_KEY is short') },
      { check: 'Redis persistence', message: expect.stringContaining('Nothing is saved') },
    ])
  })
})

describe('npm run hub -- doctor', () => {
  const run = async (env: Variables, ...args: string[]) => {
    const file = join(root, 'infra/hub.ts')
    const all = { PATH: process.env.PATH, ...base, ...env }
    const child = promisify(execFile)(process.execPath, [file, 'doctor', ...args], { env: all })
    const { code = 0, stdout, stderr } = await child.catch((error) => error)
    return { code, stdout, stderr }
  }

  it('shows a line for each check and an arrow before each cure, and ends with 1 for a fault', async () => {
    const good = await run({ REDIS_URL: sound.url })
    expect(good).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^ok +Redis: Redis 8.*0 faults, 0 warnings\.$/ms),
    })
    const { code, stdout } = await run({ REDIS_URL: sound.url, HUB_ASK_MODEL: 'openai/gpt-4o-mini' })
    expect(code).toBe(1)
    expect(stdout).toMatch(/^fault +Providers: .*\n +→ Set OPENAI_API_KEY/m)
    expect(stdout).toMatch(/1 fault, 0 warnings\.$/m)
    expect(stdout).not.toContain('\u001b')
  })

  it('says it as JSON too, and ends well with warnings only', async () => {
    const { code, stdout } = await run({ REDIS_URL: sound.url, HUB_KEY_SECRET: 'short' }, '--json')
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({
      ...{ code: 0, faults: 0, warnings: 1 },
      findings: expect.arrayContaining([expect.objectContaining({ check: 'Keys', level: 'warning' })]),
    })
  })
})

/** A relay before a real Redis: only what it says the time is comes out otherwise. */
async function startSkewed(url: string, seconds: number): Promise<string> {
  const { port } = new URL(url)
  const relay = createServer((client) => {
    const upstream = connect(Number(port), '127.0.0.1')
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    client.on('error', end).on('close', end).pipe(upstream)
    upstream
      .on('error', end)
      .on('close', end)
      .on('data', (data) => {
        const time = /\*2\r\n\$10\r\n(\d{10})\r\n/.exec(data.toString('latin1'))
        const shown = time && data.toString('latin1').replace(time[1]!, String(Number(time[1]) + seconds))
        client.write(shown ? Buffer.from(shown, 'latin1') : data)
      })
  })
  const through = new URL(url)
  through.port = String(await listening(relay))
  return through.href
}
