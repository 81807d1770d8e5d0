import { randomBytes } from 'node:crypto'
import { serve } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { createRedisResp, type RespRedis } from '../shared/drivers/redis-resp.ts'
import { RedisReplyError, RedisTimeoutError, RedisUnavailableError } from '../shared/errors.ts'
import type { Command, Reply } from '../shared/ports/redis.ts'
import { createAccounts, type Role } from './redis-rest/accounts.ts'
import {
  BadRequest,
  fromPath,
  fromSubscription,
  refusal,
  toCommand,
  toCommands,
} from './redis-rest/commands.ts'
import { readBridgeEnv } from './redis-rest/env.ts'
import { toEvents } from './redis-rest/events.ts'
import { createOverNodes } from './redis-rest/over-nodes.ts'
import { type Item, toItem } from './redis-rest/replies.ts'
import { createScriptFlags } from './redis-rest/script-flags.ts'
import { createTokens } from './redis-rest/tokens.ts'

export interface BridgeOptions {
  /** Redis, as a user who may run ACL SETUSER. */
  redisUrl: string
  token: string
  readOnlyToken?: string
  /** Bound of every wait on Redis. Milliseconds, default 5,000. */
  timeoutMs?: number
  /** Default 10 MiB. */
  maxBodyBytes?: number
  report?: (message: string) => void
}

type App = { Variables: { role: Role } }

/**
 * Upstash's Redis REST protocol in front of any Redis from version 7 on, so that @upstash/redis works without Upstash.
 *
 * @example const { app } = createBridge({ redisUrl: 'redis://127.0.0.1:6379', token })
 */
export function createBridge(options: BridgeOptions) {
  const { timeoutMs = 5_000, maxBodyBytes = 10 * 1024 * 1024, report = () => {} } = options
  const accounts = createAccounts({ redisUrl: options.redisUrl, timeoutMs })
  const roleOf = createTokens(options)
  const rewrite = createScriptFlags()
  const drivers: Record<Role, RespRedis> = { write: connect('write'), read: connect('read') }
  const overNodes = { write: createOverNodes(drivers.write), read: createOverNodes(drivers.read) }
  const streams = new Set<() => void>()

  function connect(role: Role) {
    const onError = (error: Error) => {
      report(`Redis (${role}): ${error.message}`)
      if (/^(WRONGPASS|NOAUTH)/.test(error.message)) accounts.renew().catch(() => {})
    }
    return createRedisResp({ url: accounts.url(role), onError })
  }

  async function run(role: Role, how: 'each' | 'transaction', calls: readonly Command[]) {
    await accounts.ready()
    return overNodes[role][how](calls, { bytes: true, timeoutMs })
  }

  /** Refused commands keep their place among the others, as an error. */
  async function runEach(role: Role, commands: string[][]): Promise<Reply[]> {
    const steps = commands.map((command) => {
      const refused = refusal(command)
      return refused ? { refused } : { ...rewrite(command) }
    })
    const replies = await run(
      role,
      'each',
      steps.flatMap((step) => ('command' in step ? [step.command] : [])),
    )
    let next = 0
    return steps.map((step) => {
      if (!('command' in step)) return new RedisReplyError(step.refused)
      const reply = replies[next++]!
      return step.restore ? step.restore(reply) : reply
    })
  }

  async function runAtOnce(role: Role, commands: string[][]): Promise<Reply[]> {
    for (const command of commands) {
      const refused = refusal(command)
      if (refused) throw new BadRequest(refused)
    }
    const steps = commands.map((command) => rewrite(command))
    const replies = await run(
      role,
      'transaction',
      steps.map((step) => step.command),
    )
    const results = replies.at(-1)
    if (Array.isArray(results)) return results.map((reply, i) => steps[i]?.restore?.(reply) ?? reply)
    // A command that Redis refused to queue says more than the EXECABORT that follows from it.
    const error = replies.find((reply) => reply instanceof RedisReplyError)
    throw new BadRequest(error?.message ?? 'EXECABORT Transaction discarded')
  }

  async function subscribe(c: Context<App>) {
    const name = fromSubscription(new URL(c.req.url))
    const redis = drivers[c.var.role]
    const wait = { timeoutMs, signal: c.req.raw.signal }
    await accounts.ready()
    if (c.req.path.startsWith('/psubscribe/')) {
      const listen = (send: (data: string) => void) =>
        redis.subscribePattern(
          name,
          (message, channel) => send(`pmessage,${name},${channel},${message}`),
          wait,
        )
      return toEvents(`psubscribe,${name},1`, listen, streams)
    }
    const listen = (send: (data: string) => void) =>
      redis.subscribe(name, (message) => send(`message,${name},${message}`), wait)
    return toEvents(`subscribe,${name},1`, listen, streams)
  }

  const app = new Hono<App>()
    .use(async (c, next) => {
      const role = roleOf(tokenOf(c))
      if (!role) return c.json({ error: 'WRONGPASS invalid or missing auth token' }, 401)
      c.set('role', role)
      const syncToken = c.req.header('upstash-sync-token')
      if (syncToken) c.header('upstash-sync-token', syncToken)
      return next()
    })
    .use(
      bodyLimit({
        maxSize: maxBodyBytes,
        onError: (c) => c.json({ error: `ERR the request is larger than ${maxBodyBytes} bytes` }, 413),
      }),
    )
    .post('/pipeline', async (c) => {
      const replies = await runEach(c.var.role, toCommands(await body(c)))
      return c.json(toItems(c, replies))
    })
    .post('/multi-exec', async (c) => {
      const replies = await runAtOnce(c.var.role, toCommands(await body(c)))
      return c.json(toItems(c, replies))
    })
    .on(['GET', 'POST'], ['/subscribe/*', '/psubscribe/*'], subscribe)
    .on(['GET', 'POST', 'PUT'], '/*', async (c) => {
      const url = new URL(c.req.url)
      const isRoot = url.pathname === '/'
      const command = isRoot ? toCommand(await body(c)) : fromPath(url, await body(c))
      const [item] = toItems(c, await runEach(c.var.role, [command]))
      return c.json(item!, 'error' in item! ? 400 : 200)
    })
    .onError((error, c) => {
      if (error instanceof BadRequest) return c.json({ error: error.message }, 400)
      if (error instanceof RedisReplyError) return c.json({ error: error.message }, 400)
      if (error instanceof RedisTimeoutError) return c.json({ error: `ERR ${error.message}` }, 504)
      if (error instanceof RedisUnavailableError) return c.json({ error: `ERR ${error.message}` }, 503)
      report(error.message)
      return c.json({ error: 'ERR internal error' }, 500)
    })

  return {
    app,
    /** Resolves when Redis answers and the bridge's users exist. Requests wait for it by themselves. */
    ready: () => accounts.ready(),
    async close() {
      for (const end of streams) end()
      await Promise.all([drivers.write.close(), drivers.read.close(), accounts.close()])
    },
  }
}

function tokenOf(c: Context) {
  return c.req.header('authorization')?.replace(/^Bearer /i, '') ?? c.req.query('_token') ?? ''
}

async function body(c: Context) {
  return new Uint8Array(await c.req.arrayBuffer())
}

function toItems(c: Context, replies: Reply[]): Item[] {
  const base64 = c.req.header('upstash-encoding') === 'base64'
  return replies.map((reply) => toItem(reply, base64))
}

async function main() {
  const env = readBridgeEnv(process.env)
  const token = env.HUB_BRIDGE_TOKEN ?? randomBytes(32).toString('base64url')
  const bridge = createBridge({
    redisUrl: env.REDIS_URL,
    token,
    readOnlyToken: env.HUB_BRIDGE_READONLY_TOKEN,
    report: (message) => console.error(message),
  })
  const server = serve({ fetch: bridge.app.fetch, port: env.PORT, hostname: env.HOST }, ({ port }) => {
    const url = `http://${env.HOST.includes(':') ? `[${env.HOST}]` : env.HOST}:${port}`
    console.log(`Redis over HTTP at ${url}`)
    // Shown only when it was made up here: a token that was given is known to whoever gave it.
    if (!env.HUB_BRIDGE_TOKEN) console.log(`UPSTASH_REDIS_REST_URL=${url} UPSTASH_REDIS_REST_TOKEN=${token}`)
  })
  bridge
    .ready()
    .catch((error) => console.error(`Not ready, will try again with each request: ${error.message}`))

  const stop = async () => {
    setTimeout(() => process.exit(1), 5_000).unref()
    server.close(() => process.exit(0))
    await bridge.close()
  }
  process.once('SIGINT', stop).once('SIGTERM', stop)
}

if (import.meta.main) {
  main().catch((error) => {
    console.error(error.message)
    process.exitCode = 1
  })
}
