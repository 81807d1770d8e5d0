import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { Miniflare } from 'miniflare'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { buildClientPackage, bundleClient } from '../../../infra/client-package.ts'
import { newTenant } from '../../support/client.ts'
import { type NodeHub, startNodeHub } from '../../support/hub.ts'
import { testRedisUrl } from '../../support/redis.ts'

const root = join(import.meta.dirname, '../../..')
const run = promisify(execFile)

let node: NodeHub
beforeAll(async () => {
  node = await startNodeHub({ REDIS_URL: testRedisUrl() })
})
afterAll(() => node?.stop())

describe('the package', () => {
  let application: string
  beforeAll(async () => {
    application = mkdtempSync(join(tmpdir(), 'hub-application-'))
    const directory = join(application, 'built')
    await buildClientPackage(directory)
    const { stdout } = await run('npm', ['pack', directory, '--json', '--silent'], { cwd: application })
    const [{ filename }] = JSON.parse(stdout)
    writeFileSync(join(application, 'package.json'), '{"type":"module","private":true}')
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', `./${filename}`], {
      cwd: application,
    })
  }, 60_000)
  afterAll(() => rmSync(application, { recursive: true }))

  /** As an application without Node's types. */
  const check = (file: string) => {
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const language = ['--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2023,dom']
    const options = ['--ignoreConfig', '--noEmit', '--types', '']
    return run(process.execPath, [tsc, file, ...options, ...language], { cwd: application })
  }

  it('installs without a network and needs nothing else', async () => {
    const { packages } = JSON.parse(readFileSync(join(application, 'package-lock.json'), 'utf8'))
    expect(Object.keys(packages)).toEqual(['', 'node_modules/redis-ai-hub-client'])
  })

  it('runs in Node', async () => {
    const { key } = await newTenant(node.url)
    const main = `
      import { createHubClient, HubRequestError } from 'redis-ai-hub-client'
      const hub = createHubClient({ baseUrl: '${node.url}', key: '${key}' })
      const path = { namespace: 'web' }
      await hub.lock('it', {}, (lock) => lock.call('PUT /v1/config/{namespace}', { path, body: { a: 1 } }))
      const error = await hub.call('GET /v1/config/{namespace}', { path: { namespace: 'none' } }).catch((e) => e)
      console.log(error instanceof HubRequestError, error.status)`
    writeFileSync(join(application, 'main.mjs'), main)
    const { stdout } = await run(process.execPath, ['main.mjs'], { cwd: application })
    expect(stdout.trim()).toBe('true 404')
  })

  it('its page’s example has its types, and a wrong one has not', async () => {
    const page = readFileSync(join(root, 'infra/docs/client.md'), 'utf8')
    const [, example = ''] = /```ts\n([\s\S]*?)```/.exec(page) ?? []
    expect(example).toContain("from 'redis-ai-hub-client'")
    writeFileSync(join(application, 'readme.ts'), example)
    await check('readme.ts')
    writeFileSync(join(application, 'wrong.ts'), example.replace('PUT /v1/config/', 'PUT /v1/konfig/'))
    await expect(check('wrong.ts')).rejects.toMatchObject({ stdout: expect.stringContaining('wrong.ts') })
  }, 60_000)
})

/** What of the globals a runtime has that is neither Node nor allowed to look like it. */
const WORKER = `
import { createHubClient } from './client.js'
export default {
  async fetch(_, env) {
    const hub = createHubClient({ baseUrl: env.URL, key: env.KEY })
    const globals = ['process', 'Buffer', 'require', 'setImmediate'].filter((name) => name in globalThis)
    const path = { channel: 'news' }
    const { id } = await hub.call('POST /v1/realtime/{channel}', { path, body: { data: 'one' } })
    await hub.call('POST /v1/realtime/{channel}', { path, body: { data: 'two' } })
    const written = await hub.lock('it', { ttlSeconds: 5 }, (lock) =>
      lock.call('PUT /v1/config/{namespace}', { path: { namespace: 'web' }, body: { a: 1 } }))
    const paid = await hub.guarded('pay', async () => 'paid')
    await hub.settled()
    const refused = await hub.call('GET /v1/config/{namespace}', { path: { namespace: 'a b' } }).catch((e) => e.param)
    for await (const { data } of hub.follow('GET /v1/realtime/{channel}', { path, lastEventId: id }))
      return Response.json({ globals, heard: data, version: written.version, paid, refused })
  },
}`

describe('the bundle for pages', () => {
  it('runs where there is nothing of Node', async () => {
    const { key } = await newTenant(node.url)
    const worker = new Miniflare({
      ...{ cf: false, enableDevRegistry: false, telemetry: { enabled: false }, logRequests: false },
      workers: [
        {
          config: {
            ...{ name: 'page', compatibilityDate: '2026-01-01', compatibilityFlags: [] },
            env: { URL: { type: 'text', value: node.url }, KEY: { type: 'text', value: key } },
            manifest: {
              mainModule: 'main.js',
              modules: {
                'main.js': { type: 'esm', contents: WORKER },
                'client.js': { type: 'esm', contents: await bundleClient() },
              },
            },
          },
        },
      ],
    })
    onTestFinished(() => worker.dispose())
    const reply = await worker.dispatchFetch('http://page/')
    expect(await reply.json()).toEqual({
      ...{ globals: [], heard: 'two', version: 1, paid: 'paid', refused: 'namespace' },
    })
  }, 60_000)

  it('imports nothing, and stays small', async () => {
    const text = await bundleClient()
    expect(text).not.toMatch(/\bimport\b\s*[{"'*(]|\brequire\(|\beval\(|new Function/)
    expect(gzipSync(text).byteLength).toBeLessThan(8_000)
  })
})
