/** The Node rim: `npm start`. Finds or starts a Redis, serves every function on one port. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { join } from 'node:path'
import { serve } from '@hono/node-server'
import { createDictionary } from '../shared/drivers/dictionary-english.ts'
import { createEmbedderLocal } from '../shared/drivers/embedder-local.ts'
import { createFetchUndici } from '../shared/drivers/fetch-undici.ts'
import { createPdfUnpdf } from '../shared/drivers/pdf-unpdf.ts'
import { createRuntimeOnnx } from '../shared/drivers/runtime-onnx.ts'
import { createTokenizerGpt } from '../shared/drivers/tokenizer-gpt.ts'
import { createDeferred } from './deferred.ts'
import { createDrain } from './drain.ts'
import { type Env, readEnv } from './env.ts'
import { findRedisServer } from './local-redis/find-redis.ts'
import { startRedis } from './local-redis/run-redis.ts'
import { log } from './log.ts'
import { wire } from './wire.ts'

const say = (line: string) => console.log(line)

/** Longer than balancers keep an idle connection (nginx and AWS: 60 s): a request never meets a close on its way. */
const KEEP_ALIVE_MS = 75_000

async function main() {
  const env = readEnv(process.env)
  if (!env.HUB_ADMIN_KEY && !/^(localhost|127(\.\d{1,3}){3}|::1)$/.test(env.HOST)) {
    throw new Error(
      `HOST is ${env.HOST}: without HUB_ADMIN_KEY the hub serves loopback only. Set HUB_ADMIN_KEY.`,
    )
  }
  for (const name of ['HUB_ADMIN_KEY', 'HUB_KEY_SECRET', 'HUB_SECRET_KEY'] as const) {
    if (env[name] && env[name].length < 16) say(`${name} is short: use 16 random characters or more.`)
  }
  const local = env.REDIS_URL || env.UPSTASH_REDIS_REST_URL ? undefined : await startLocal(env)
  const keySecret = env.HUB_KEY_SECRET || env.HUB_ADMIN_KEY ? undefined : keptSecret(env.HUB_DATA_DIR)
  const variables = local ? { ...process.env, REDIS_URL: local.url } : process.env
  const hub = wire(variables, {
    sharesRequests: true,
    tallyDelayMs: 1_000,
    keySecret,
    countTokens: createTokenizerGpt(),
    localEmbedder: createEmbedderLocal(),
    readPdf: createPdfUnpdf(),
    modelRuntime: createRuntimeOnnx(),
    isWord: createDictionary(),
    fetch: createFetchUndici(),
    log,
  })

  const { defer, settled } = createDeferred(log)
  await hub.app.request('/readyz', { headers: { host: 'localhost' } }, { defer }) // connects before the first request does
  const server = serve(
    {
      fetch: (request, { incoming }) => {
        const reply = hub.app.fetch(request, { defer, clientAddress: incoming.socket.remoteAddress })
        return drain.isDraining && new URL(request.url).pathname === '/readyz' ? draining(reply) : reply
      },
      port: env.PORT,
      hostname: env.HOST,
      serverOptions: { keepAliveTimeout: KEEP_ALIVE_MS },
    },
    ({ port }) => {
      const host = env.HOST.includes(':') ? `[${env.HOST}]` : env.HOST
      say(`redis-ai-hub is ready: http://${host}:${port}`)
    },
  )
  const drain = createDrain({ server: server as Server, seconds: env.HUB_DRAIN_SECONDS })
  const stopping = new AbortController()
  const work = hub.work(stopping.signal)
  server.on('error', (error: NodeJS.ErrnoException) => {
    const taken = error.code === 'EADDRINUSE'
    fail(new Error(taken ? `Port ${env.PORT} is taken: set PORT to another one.` : error.message))
  })

  /** Lets balancers notice, then running requests and deferred work end, within ten seconds more. */
  let isStopping = false
  async function stop() {
    if (isStopping) return
    isStopping = true
    setTimeout(() => process.exit(1), 2_000 * env.HUB_DRAIN_SECONDS + 10_000).unref()
    await drain.announce()
    stopping.abort()
    await Promise.all([drain.close(), work])
    await settled()
    await hub.close()
    await local?.stop()
    process.exit(0)
  }
  process.on('SIGTERM', stop).on('SIGINT', stop)
}

/** What `/readyz` said, for balancers that ask it. */
async function draining(reply: Response | Promise<Response>) {
  return Response.json({ ...(await (await reply).json()), status: 'draining' }, { status: 503 })
}

async function startLocal(env: Env) {
  const server = await findRedisServer({ report: say })
  const redis = await startRedis({ server, directory: env.HUB_DATA_DIR, report: say })
  say(`Redis ${server.version} runs on 127.0.0.1:${redis.port}, its data in ${env.HUB_DATA_DIR}/`)
  return redis
}

/** Keyless local mode signs hub keys too; they must live as long as the data that they are in. */
function keptSecret(directory: string): string {
  const file = join(directory, 'key-secret')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  try {
    writeFileSync(file, randomBytes(32).toString('base64url'), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return readFileSync(file, 'utf8')
}

function fail(error: unknown) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}

main().catch(fail)
