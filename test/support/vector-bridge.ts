import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { createVectorBridge, type VectorBridgeOptions } from '../../infra/vector-rest.ts'

/**
 * The Upstash Vector bridge over a Redis 8, on a loopback port.
 *
 * @example const bridge = await startVectorBridge({ redisUrl: testRedisUrl(), name: unique('index'), dimension: 3 })
 */
export async function startVectorBridge(options: Omit<VectorBridgeOptions, 'token'>) {
  const token = 'the-token-of-the-tests'
  const bridge = createVectorBridge({ ...options, token })
  const paths: string[] = []
  const server = createAdaptorServer({
    fetch: (request: Request) => {
      paths.push(new URL(request.url).pathname)
      return bridge.app.fetch(request)
    },
    overrideGlobalObjects: false,
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  await bridge.ready()
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token,
    /** Of the requests so far. */
    paths,
    async close() {
      await bridge.close()
      await new Promise((resolve) => {
        server.close(resolve)
        if ('closeAllConnections' in server) server.closeAllConnections()
      })
    },
  }
}
