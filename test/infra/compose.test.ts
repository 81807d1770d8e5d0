import { execFile, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it, onTestFinished, test } from 'vitest'
import { readEnv } from '../../infra/env.ts'
import { freePorts } from '../../infra/local-redis/free-ports.ts'
import { parseRedisUrl } from '../../shared/drivers/redis-resp-url.ts'
import { unique } from '../support/app.ts'
import { composeConfig, type Project, type Service, startServices } from '../support/compose.ts'
import { startNodeHub, until } from '../support/hub.ts'
import { testRedisUrl } from '../support/redis.ts'

const root = new URL('../..', import.meta.url).pathname
const secrets = {
  HUB_ADMIN_KEY: 'the-admin-key-of-this-test',
  HUB_SECRET_KEY: 'the-secret-key-of-this-test',
  REDIS_PASSWORD: 'the-password-of-the-hub',
  REDIS_ADMIN_PASSWORD: 'the-password-of-administrators',
}
const TLS = 'infra/docker/compose.tls.yaml'
const profiles = ['stack', 'sentinel', 'cluster']
const topologies: Record<string, string> = { stack: 'single', sentinel: 'sentinel', cluster: 'cluster' }
const isHub = ([, { build }]: [string, Service]) => build !== undefined
const hubOf = ({ services }: Project) => Object.entries(services).find(isHub)!

/** Certificates of this file's tests. */
let tls: string
beforeAll(async () => {
  tls = mkdtempSync(join(tmpdir(), 'hub-tls-'))
  await promisify(execFile)('sh', [join(root, 'infra/docker/certificates.sh'), tls])
  await composeConfig('stack', secrets) // fetches Compose, once
  return () => rmSync(tls, { recursive: true, force: true })
}, 300_000)

test.each(Object.keys(secrets))('compose.yaml has no default for %s', async (name) => {
  const { [name as keyof typeof secrets]: _, ...others } = secrets
  await expect(composeConfig('stack', others)).rejects.toThrow(`required variable ${name} is missing a value`)
})

test('an instance that goes waits for longer than nginx keeps idle connections', async () => {
  const [, hub] = hubOf(await composeConfig('stack', secrets))
  const nginx = readFileSync(join(root, 'infra/gateways/nginx-hub.conf'), 'utf8')
  const [, kept] = /keepalive_timeout (\d+)s;/.exec(nginx)!
  expect(Number(hub.environment!.HUB_DRAIN_SECONDS)).toBeGreaterThan(Number(kept))
})

describe.each(profiles)('compose.yaml’s profile %s', (profile) => {
  it('has one hub, whose REDIS_URL is the servers beside it, and which reads its environment', async () => {
    const project = await composeConfig(profile, secrets)
    expect(Object.entries(project.services).filter(isHub)).toHaveLength(1)
    const [, hub] = hubOf(project)
    const env = readEnv(hub.environment!)
    const url = parseRedisUrl(env.REDIS_URL!)!
    expect(url.topology).toBe(topologies[profile])
    const addresses = Object.entries(project.services).map(([name, service]) => {
      const address = service.networks?.redis?.ipv4_address ?? name
      return `${address}:${service.environment?.REDIS_PORT ?? 6379}`
    })
    for (const { host, port } of url.places) expect(addresses).toContain(`${host}:${port}`)
    if (profile === 'sentinel') expect(url.sentinel.name).toBe('hub')
  })

  it('publishes the hub alone, on loopback, and lets no server out', async () => {
    const { services, networks } = await composeConfig(profile, secrets)
    for (const [name, service] of Object.entries(services)) {
      if (isHub([name, service])) expect(service.ports).toMatchObject([{ host_ip: '127.0.0.1' }])
      else expect([service.ports, Object.keys(service.networks!)]).toEqual([undefined, ['redis']])
    }
    expect(networks.redis!.internal).toBe(true)
  })

  it('gives each service no more than it needs', async () => {
    const { services, volumes } = await composeConfig(profile, secrets)
    for (const [name, service] of Object.entries(services)) {
      expect(service, name).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        deploy: { resources: { limits: { cpus: expect.any(Number), memory: expect.any(String) } } },
      })
      const isJob = service.restart === 'no'
      if (!isJob) expect(service.restart, name).toBe('unless-stopped')
      if (isHub([name, service])) continue
      expect(service.user, name).toBe('999:999')
      if (!isJob) expect(service.healthcheck?.test, name).toEqual(['CMD', 'sh', '/hub/redis.sh', 'healthy'])
      const places = service.volumes?.map(({ source, target }) => [source in volumes, target])
      if (!isJob && name !== 'redisai') expect(places, name).toEqual([[true, '/data']])
    }
  })
})

describe.each([
  ['stack', false],
  ['stack', true],
  ['sentinel', true],
  ['cluster', true],
] as const)('the profile %s with TLS %s', (profile, isSecure) => {
  it('runs: its commands, and a hub on them', async () => {
    const env = { ...secrets, SENTINEL_DOWN_AFTER_MS: '1000', ...(isSecure && { HUB_TLS_DIR: tls }) }
    const project = await composeConfig(profile, env, ...(isSecure ? [TLS] : []))
    await using up = await startServices(project)
    const [name] = hubOf(project)
    const { HUB_REDISAI_URL: _, NODE_EXTRA_CA_CERTS: ca, ...environment } = up.environmentOf(name)
    expect(parseRedisUrl(environment.REDIS_URL!)!.tls).toBe(isSecure)
    expect(ca).toBe(isSecure ? '/tls/ca.crt' : undefined)
    await using hub = await startNodeHub({
      ...{ ...environment, HUB_DRAIN_SECONDS: '0' },
      ...(isSecure && { NODE_EXTRA_CA_CERTS: join(tls, 'ca.crt') }),
    })
    const isKept = async (content = unique('What is Redis?')) => {
      const ask = async () => {
        const reply = await fetch(`${hub.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { authorization: `Bearer ${secrets.HUB_ADMIN_KEY}`, 'content-type': 'application/json' },
          body: JSON.stringify({ model: 'local', messages: [{ role: 'user', content }] }),
        })
        return reply.headers.get('cache-status') ?? ''
      }
      await ask()
      return (await ask()).includes('; hit')
    }
    await until('an answer is kept', isKept)

    if (profile === 'cluster') {
      const primaries = / (myself,)?master .* connected \d+-\d+$/gm
      await until('a node knows of all', async () => {
        const nodes = await up.cli('node-1', 'cluster', 'nodes')
        return nodes.match(primaries)?.length === 3 && nodes.match(/ slave /g)?.length === 3
      })
    }
    if (profile === 'sentinel') {
      const primary = async () =>
        Number((await up.cli('sentinel-1', 'sentinel', 'get-master-addr-by-name', 'hub')).split('\n')[1])
      const about = () => up.cli('sentinel-1', 'sentinel', 'master', 'hub')
      expect(await primary()).toBe(up.ports['redis-1'])
      await until('all know each other', async () =>
        /num-slaves\n2\nnum-other-sentinels\n2\n/.test(await about()),
      )
      await up.kill('redis-1')
      // Sentinels that elect nobody try again after twice their failover timeout of 30 s.
      await until('there is another primary', async () => (await primary()) !== up.ports['redis-1'], 90_000)
      await until('the hub has gone with it', isKept, 30_000)
      await up.again('redis-1')
      await until(
        'the old one is a replica',
        async () => (await up.cli('redis-1', 'role').catch(() => '')).startsWith('slave'), // it starts
        30_000,
      )
    }
  }, 200_000)
})

describe('the hub’s image', () => {
  const text = readFileSync(join(root, 'infra/docker/Dockerfile'), 'utf8').replaceAll('\\\n', ' ')
  const image = text.split(/^FROM (?=.*$)/m).at(-1)!
  const copied = [...image.matchAll(/^COPY (?!--from)(\S+) \S+$/gm)].map(([, source]) => source!)

  it('copies what is there, and its .dockerignore lets that through', () => {
    const ignored = readFileSync(join(root, 'infra/docker/Dockerfile.dockerignore'), 'utf8').split('\n')
    const [, modules = ''] = /^COPY (.+) \.\/$/m.exec(text) ?? []
    expect(modules.split(' ')).toContain('package-lock.json')
    for (const source of [...copied, ...modules.split(' ')]) {
      expect(existsSync(join(root, source)), source).toBe(true)
      expect(ignored).toContain(`!${source}`)
    }
    expect(image).toMatch(/^USER node$/m)
  })

  it('starts with these files and production packages alone, and its health check tells', async () => {
    const app = mkdtempSync(join(tmpdir(), 'hub-image-'))
    onTestFinished(() => rmSync(app, { recursive: true, force: true }))
    for (const source of copied) cpSync(join(root, source), join(app, source), { recursive: true })
    // As `npm ci --omit=dev --omit=optional` leaves them.
    const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
    for (const [path, { dev, optional }] of Object.entries<{ dev?: true; optional?: true }>(packages)) {
      if (!/^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) || dev || optional) continue
      mkdirSync(dirname(join(app, path)), { recursive: true })
      symlinkSync(join(root, path), join(app, path))
    }
    const [port] = await freePorts(1)
    const env = {
      ...{
        PATH: process.env.PATH,
        PORT: String(port),
        HOST: '0.0.0.0',
        ...secrets,
        REDIS_URL: testRedisUrl(),
      },
      NODE_OPTIONS: '--preserve-symlinks --preserve-symlinks-main',
    }
    const [command] = [.../^CMD (\[.+\])$/gm[Symbol.matchAll](image)].map(([, list]) => JSON.parse(list!))
    const check = JSON.parse(/^HEALTHCHECK .* CMD (\[.+\])$/m.exec(image)![1]!)
    const isHealthy = () =>
      promisify(execFile)(process.execPath, check.slice(1), { env }).then(
        () => true,
        () => false,
      )
    expect([command[0], check[0], await isHealthy()]).toEqual(['node', 'node', false])
    const hub = spawn(process.execPath, command.slice(1), {
      cwd: app,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    for (const stream of [hub.stdout, hub.stderr]) stream.on('data', (part) => (said += part))
    onTestFinished(() => void hub.kill('SIGKILL'))
    await until('it is healthy', async () => {
      if (hub.exitCode !== null) throw new Error(`It ended with ${hub.exitCode}:\n${said}`)
      return isHealthy()
    })
    const headers = {
      authorization: `Bearer ${secrets.HUB_ADMIN_KEY}`,
      'content-type': 'application/json',
    }
    const body = JSON.stringify({ model: 'local', input: [unique('What is Redis?')] })
    const reply = await fetch(`http://127.0.0.1:${port}/v1/embeddings`, { method: 'POST', headers, body })
    expect((await reply.json()).data[0].embedding).toHaveLength(512)
  }, 60_000)
})
