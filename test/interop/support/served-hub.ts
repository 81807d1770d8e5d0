import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { startApp, type TestAppOptions, unique } from '../../support/app.ts'

const HUB_ADMIN_KEY = 'the-admin-key-of-interop-tests'

/**
 * A hub that clients reach over HTTP as they reach any server, before the provider's stand-in, with a key of a tenant of its own.
 *
 * @example const hub = await serveHub(); new OpenAI({ baseURL: `${hub.url}/v1`, apiKey: hub.key })
 */
export async function serveHub({ env, ...options }: TestAppOptions = {}) {
  const hub = await startApp({ ...options, env: { HUB_ADMIN_KEY, ...env } })
  const pending = new Set<Promise<unknown>>()
  const defer = (work: Promise<unknown>) => {
    const done = work.catch(() => {}).finally(() => pending.delete(done))
    pending.add(done)
  }
  const fetch = (request: Request) => hub.app.fetch(request, { defer })
  const server = serve({ fetch, port: 0, hostname: '127.0.0.1' })
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  /** Without a client: what an operator sets up. */
  async function call(method: string, path: string, body?: unknown, key = HUB_ADMIN_KEY): Promise<unknown> {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const reply = await globalThis.fetch(url + path, { method, headers, body: JSON.stringify(body) })
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`)
    return reply.status === 204 ? undefined : reply.json()
  }
  const newKey = async (settings: object = {}) => {
    const made = await call('POST', '/v1/keys', { tenant: unique('interop'), ...settings })
    return (made as { key: string }).key
  }

  return {
    ...{ url, call, newKey },
    provider: hub.provider,
    key: await newKey(),
    async [Symbol.asyncDispose]() {
      await Promise.all(pending)
      await new Promise((resolve) => {
        server.close(resolve)
        if ('closeAllConnections' in server) server.closeAllConnections()
      })
      await hub[Symbol.asyncDispose]()
    },
  }
}

export type ServedHub = Awaited<ReturnType<typeof serveHub>>

/** What a request to the provider says so far: for stand-ins that answer by it. */
export interface Said {
  role: string
  content?: unknown
  tool_calls?: unknown[]
}

/** The messages of a request to the provider. */
export const saidOf = (body: Record<string, unknown>) => (body.messages ?? []) as Said[]

/** The last text that a user or a tool has said. */
export const lastText = (body: Record<string, unknown>) => String(saidOf(body).at(-1)?.content ?? '')
