import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { type BridgeOptions, createBridge } from '../../infra/redis-rest.ts'

/**
 * The Upstash bridge in front of a Redis, on a loopback port.
 *
 * @example const bridge = await startTestBridge({ redisUrl: redis.url })
 */
export async function startTestBridge(options: Partial<BridgeOptions> & { redisUrl: string }) {
  const token = options.token ?? 'the-token-of-the-tests'
  const bridge = createBridge({ ...options, token })
  const server = createAdaptorServer({ fetch: bridge.app.fetch, overrideGlobalObjects: false })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // Its users are on several servers then: not within the patience of a request.
  if (options.redisUrl.includes('+')) await bridge.ready()
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token,
    ready: bridge.ready,
    async close() {
      await bridge.close()
      await new Promise((resolve) => {
        server.close(resolve)
        if ('closeAllConnections' in server) server.closeAllConnections()
      })
    },
  }
}
