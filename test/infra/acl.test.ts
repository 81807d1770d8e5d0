import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from '@redis/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApp, unique } from '../support/app.ts'
import { softmax } from '../support/models.ts'
import { startTestRedis } from '../support/redis.ts'

/** The rules of infra/docker/hub.acl on a real Redis: enough for everything that the hub does, and for nothing else. */
const root = new URL('../..', import.meta.url).pathname
const acl = readFileSync(join(root, 'infra/docker/hub.acl'), 'utf8')
/** As infra/docs/deploying.md says it, where the server has no query engine. */
const command = String.raw`grep -v '^#\|^+ft\.' infra/docker/hub.acl`
const rules = execFileSync('sh', ['-c', command], { cwd: root, encoding: 'utf8' })
  .split(/\s+/)
  .filter(Boolean)

let redis: Awaited<ReturnType<typeof startTestRedis>>
let admin: ReturnType<typeof createClient>
let url: string
beforeAll(async () => {
  redis = await startTestRedis()
  admin = createClient({ url: redis.url })
  await admin.connect()
  await admin.sendCommand(['ACL', 'SETUSER', 'hub', 'on', '>pw', '~*', '&*', ...rules])
  url = redis.url.replace(/\/\/.*@/, '//hub:pw@')
}, 60_000)
afterAll(async () => {
  admin?.destroy()
  await redis?.stop()
})

const sources = (folder: string, end: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(end) && !file.endsWith('.generated.ts'))
    .map((file) => readFileSync(join(root, folder, file), 'utf8'))
    .join('\n')

describe('hub.acl', () => {
  it('is given to a user as the documentation says', () => {
    expect(readFileSync(join(root, 'infra/docs/deploying.md'), 'utf8')).toContain(`$(${command})`)
    expect(rules).toContain('-@dangerous')
  })

  it('grants every command that a script calls, or that is sent', async () => {
    const called = [...sources('shared/scripts', '.lua').matchAll(/redis\.p?call\(\s*'(\w+)'/g)]
    const sent = [...sources('shared', '.ts').matchAll(/\[\s*'([A-Z]{2,}(?:\.[A-Z_]+)?)'/g)]
    const names = new Set([...called, ...sent].map(([, name]) => name!.toLowerCase()))
    expect(names.size).toBeGreaterThan(60)
    const known = (await admin.sendCommand(['COMMAND', 'LIST'])) as unknown as string[]
    const refused: string[] = []
    for (const name of names) {
      // Of RedisAI, which is another server; and what only looks like a command.
      if (/^(ai|sentinel)(\.|$)/.test(name)) continue
      if (name.startsWith('ft.')) {
        if (!acl.includes(`+${name}`)) refused.push(name)
        continue
      }
      if (!known.some((command) => command.toLowerCase() === name)) continue
      const [info] = (await admin.sendCommand(['COMMAND', 'INFO', name])) as unknown as [
        [string, number, ...unknown[]],
      ]
      const subcommands = info[9] as [string][] | undefined
      if (subcommands?.length) continue // told apart in what runs, below
      const args = Array.from({ length: Math.max(0, Math.abs(info[1]) - 1) }, () => '1')
      const verdict = await admin.sendCommand(['ACL', 'DRYRUN', 'hub', name, ...args]).catch(String)
      if (verdict !== 'OK' && !/wrong number|syntax/i.test(String(verdict)))
        refused.push(`${name}: ${verdict}`)
    }
    expect(refused).toEqual([])
  })

  it.each([
    ...[
      'FLUSHALL',
      'FLUSHDB',
      'KEYS *',
      'CONFIG GET *',
      'CONFIG SET dir /',
      'ACL LIST',
      'ACL WHOAMI',
      'SHUTDOWN',
    ],
    ...[
      'DEBUG SLEEP 0',
      'MONITOR',
      'SLAVEOF NO ONE',
      'REPLICAOF NO ONE',
      'FAILOVER',
      'SAVE',
      'BGSAVE',
      'BGREWRITEAOF',
    ],
    ...[
      'CLIENT LIST',
      'CLIENT KILL ID 1',
      'CLIENT PAUSE 1',
      'MODULE LIST',
      'FUNCTION FLUSH',
      'SCRIPT FLUSH',
      'SWAPDB 0 1',
    ],
    ...[
      'MIGRATE h 1 k 0 1',
      'RESTORE k 0 x',
      'SORT k',
      'BLPOP k 0',
      'LATENCY RESET',
      'SLOWLOG GET',
      'CLUSTER RESET',
    ],
  ])('refuses %s', async (line) => {
    const verdict = await admin.sendCommand(['ACL', 'DRYRUN', 'hub', ...line.split(' ')])
    expect(verdict).toMatch(/has no permissions to run/)
  })

  it('lets every capability work', async () => {
    await using app = await startApp({ env: { REDIS_URL: url, HUB_SECRET_KEY: 'a secret of this test' } })
    const over = new AbortController()
    const work = app.work(over.signal)
    const name = unique('acl')
    const ok = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
      const reply =
        body === undefined
          ? await app.request(path, { method, headers: { host: 'localhost', ...headers } })
          : await app.send(method, path, body, headers)
      const text = await reply.text()
      expect(reply.status, `${method} ${path}: ${text}`).toBeLessThan(300)
      return /^application\/json/.test(reply.headers.get('content-type') ?? '') ? JSON.parse(text) : text
    }
    const question = { model: 'local', messages: [{ role: 'user', content: 'What is Redis?' }] }
    await ok('POST', '/v1/chat/completions', question)
    await ok('POST', '/v1/chat/completions', question, { 'x-hub-semantic': 'on' })
    await ok('POST', '/v1/chat/completions', { ...question, stream: true })
    await ok('POST', '/v1/cache/purge', { request: question })
    await ok('GET', '/v1/cache/stats')
    await ok('GET', '/v1/usage')
    const limits = [{ on: 'requests', limit: 100, window_seconds: 60 }]
    await ok('POST', '/v1/keys', { tenant: name, limits, budget: { usd: 1, period: 'daily' } })
    await ok('PUT', `/v1/prompts/${name}`, { messages: [{ role: 'user', content: 'Hello {{name}}' }] })
    await ok('PUT', `/v1/model-routes/${name}`, { strategy: 'ordered', targets: [{ model: 'local/local' }] })
    await ok('PUT', `/v1/indexes/${name}`, { fields: { topic: 'tag' }, dimensions: 3 })
    const document = { id: 'a', text: 'Redis keeps it.', metadata: { topic: 'x' }, vector: [1, 0, 0] }
    await ok('POST', `/v1/indexes/${name}/documents`, [document])
    await ok('POST', `/v1/indexes/${name}/search`, { query: 'Redis', vector: [1, 0, 0], mode: 'hybrid' })
    await ok('DELETE', `/v1/indexes/${name}/documents/a`)
    await ok('DELETE', `/v1/indexes/${name}`)
    await ok('PUT', `/v1/events/${name}`, { handler: { type: 'store' } })
    await ok('POST', `/v1/events/${name}`, [{ n: 1 }, { n: 2 }])
    const queued = { id: 'j', handler: { type: 'store' }, data: 1 }
    await ok('POST', `/v1/queues/${name}/jobs`, queued)
    await ok('GET', `/v1/results/${name}:j?wait_seconds=10`)
    await ok('GET', `/v1/events/${name}/stats`)
    await ok('PUT', `/v1/webhooks/${name}`, {
      scheme: 'github',
      secret: 'a long random text',
      target: { stream: name },
    })
    await ok('PUT', `/v1/alerts/${name}`, {
      ...{ on: { stream: name }, when: { type: 'rate', count: 9, window_seconds: 60 } },
    })
    await ok('PUT', `/v1/features/${name}/42`, { features: { clicks: 7 } })
    await ok('POST', `/v1/features/${name}/query`, { entities: ['42'] })
    await ok('POST', `/v1/datasets/${name}/rows`, [{ id: 'r', entity: '42', features: { clicks: 7 } }])
    await ok('POST', `/v1/realtime/${name}`, { data: 1 })
    await ok('PUT', `/v1/schedules/${name}`, {
      ...{ every_seconds: 60, source: { type: 'event', stream: name, data: {} } },
    })
    await ok('PUT', `/v1/agents/${name}`, {
      role: 'custom',
      model: 'local',
      tools: ['remember'],
      instructions: 'Help.',
    })
    await ok('POST', `/v1/agents/${name}/steps`, { input: 'Hello' })
    await ok('PUT', `/v1/knowledge/${name}`, { fact: 'x' })
    const upload = await app.request(`/v2/models/${name}/versions/1`, {
      ...{ method: 'PUT', body: softmax as BodyInit },
      headers: { host: 'localhost', 'content-type': 'application/octet-stream' },
    })
    expect([201, 422, 503]).toContain(upload.status)
    await ok('GET', '/v1/breakers')
    const { token } = await ok('POST', `/v1/locks/${name}`, { ttl_seconds: 30, wait_seconds: 5 })
    await ok('PUT', `/v1/locks/${name}`, { token, ttl_seconds: 60 })
    await ok('DELETE', `/v1/locks/${name}?token=${token}`)
    await ok('PUT', `/v1/services/${name}/one`, { url: 'https://example.com', ttl_seconds: 30 })
    await ok('GET', `/v1/service-choices/${name}`)
    await ok('PUT', `/v1/config/${name}`, { values: { a: 1 } })
    await ok('GET', `/v1/config/${name}/history`)
    const { id } = await ok('POST', '/v1/sessions', { user: name })
    await ok('POST', `/v1/sessions/${id}/rotate`, {})
    await ok('GET', `/v1/sessions?user=${name}`)
    await ok('PATCH', `/v1/preferences/${name}`, { theme: 'dark' })
    await ok('GET', '/v1/audit')
    await ok('GET', `/v1/tenants/${name}/export`)
    await ok('DELETE', `/v1/tenants/${name}`)
    await app.settled()
    over.abort()
    await work
    // The server's own word: nothing was refused, not even where a failure is borne in silence.
    const log = (await admin.sendCommand(['ACL', 'LOG'])) as unknown as string[][]
    expect(log.filter((entry) => entry.includes('hub'))).toEqual([])
  }, 60_000)
})
