import { once } from 'node:events'
import { serve } from '@hono/node-server'
import { createHubClient } from '../client/client.ts'
import { clientBundle } from '../client-bundle.ts'
import { createWebApp } from '../examples/web-app/server.ts'
import type { ExampleCall } from './example.ts'

/** Serves the page until Ctrl-C. */
export async function runWebAppExample({ hub: { base }, key, say, signal }: ExampleCall) {
  const app = createWebApp({
    ...{ hub: createHubClient({ baseUrl: base, key }), hubUrl: base },
    clientBundle: await clientBundle(),
  })
  const { promise: listening, resolve } = Promise.withResolvers<number>()
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => resolve(port))
  const url = `http://127.0.0.1:${await listening}`
  say(`Open ${url} in two windows. Ctrl-C ends it.`)
  if (!signal.aborted) await once(signal, 'abort')
  server.close()
  return { example: 'web-app', url }
}
