import { gzipSync } from 'node:zlib'
import { Miniflare } from 'miniflare'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { bundleClient } from '../../../infra/client-bundle.ts'
import { newTenant } from '../../support/client.ts'
import { type NodeHub, startNodeHub } from '../../support/hub.ts'
import { testRedisUrl } from '../../support/redis.ts'

let node: NodeHub
beforeAll(async () => {
  node = await startNodeHub({ REDIS_URL: testRedisUrl() })
})
afterAll(() => node?.stop())

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
