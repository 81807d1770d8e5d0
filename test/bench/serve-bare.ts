import { serve } from '@hono/node-server'
import type { Hono } from 'hono'

/** As infra/node.ts serves: the yardstick differs by what it does, not by how it is served. */
export function serveBare(app: Hono) {
  serve({ fetch: (request) => app.fetch(request), port: 0, hostname: '127.0.0.1' }, ({ port }) =>
    console.log(`http://127.0.0.1:${port}`),
  )
}
