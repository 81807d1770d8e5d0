/** The Node rim: `npm start`. Finds or starts a Redis, serves every function on one port. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { join } from 'node:path'
import { serve } from '@hono/node-server'
import { createAssetsFiles } from '../shared/drivers/assets-files.ts'
import { createDictionary } from '../shared/drivers/dictionary-english.ts'
import { createEmbedderLocal } from '../shared/drivers/embedder-local.ts'
import { createFetchUndici } from '../shared/drivers/fetch-undici.ts'
import { createPdfUnpdf } from '../shared/drivers/pdf-unpdf.ts'
import { createRuntimeOnnx } from '../shared/drivers/runtime-onnx.ts'
import { createTokenizerGpt } from '../shared/drivers/tokenizer-gpt.ts'
import { PROGRAM } from './cli/command.ts'
import { createDeferred } from './deferred.ts'
import { createDrain } from './drain.ts'
import { type Env, readEnv } from './env.ts'
import { greeting } from './greeting.ts'
import { findRedisServer } from './local-redis/find-redis.ts'
import { startRedis } from './local-redis/run-redis.ts'
import { createLog } from './log.ts'
import { startTelemetry } from './telemetry/start-telemetry.ts'
import { wire } from './wire.ts'

export interface ServeOptions {
  variables: Record<string, string | undefined>
  /** Each line that is printed is JSON, as those of the log are. */
  asJson?: boolean
}

/** Longer than balancers keep an idle connection (nginx and AWS: 60 s): a request never meets a close on its way. */
const KEEP_ALIVE_MS = 75_000

/** Resolves when it listens; ends the process when it is told to. Throws what the operator must mend. */
export async function serveHub({ variables: given, asJson = false }: ServeOptions): Promise<void> {
  const log = createLog(given)
  const say = (line: string) => (asJson ? log.info({ msg: line }) : console.log(line))
  const env = readEnv(given)
  if (!env.HUB_ADMIN_KEY && !/^(localhost|127(\.\d{1,3}){3}|::1)$/.test(env.HOST)) {
    throw new Error(
      `HOST is ${env.HOST}: without HUB_ADMIN_KEY the hub serves loopback only. Set HUB_ADMIN_KEY.`,
    )
  }
  for (const name of ['HUB_ADMIN_KEY', 'HUB_KEY_SECRET', 'HUB_SECRET_KEY'] as const) {
    if (env[name] && env[name].length < 16) say(`${name} is short: use 16 random characters or more.`)
  }
  const local = env.REDIS_URL || env.UPSTASH_REDIS_REST_URL ? undefined : await startLocal(env, say)
  const keySecret = env.HUB_KEY_SECRET || env.HUB_ADMIN_KEY ? undefined : keptSecret(env.HUB_DATA_DIR)
  const variables = local ? { ...given, REDIS_URL: local.url } : given
  const telemetry = await startTelemetry(given)
  const assets = createAssetsFiles(join(import.meta.dirname, '../dist/face'))
  const hasPages = (await assets('index.html')) !== undefined
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
    assets,
    telemetry,
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
      const url = `http://${host}:${port}`
      say(`redis-ai-hub is ready: ${url}`)
      if (!asJson) for (const line of greeting({ url, env, variables, hasPages })) say(line)
    },
  )
  const drain = createDrain({ server: server as Server, seconds: env.HUB_DRAIN_SECONDS })
  const stopping = new AbortController()
  const work = hub.work(stopping.signal)
  server.on('error', (error: NodeJS.ErrnoException) => {
    const taken = `Port ${env.PORT} is taken, perhaps by a hub that runs already. Start on another one: PORT=${env.PORT + 1}, or --port of \`${PROGRAM} start\`.`
    fail(new Error(error.code === 'EADDRINUSE' ? taken : error.message))
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
    await telemetry.close()
    await local?.stop()
    process.exit(0)
  }
  process.on('SIGTERM', stop).on('SIGINT', stop)
}

/** What `/readyz` said, for balancers that ask it. */
async function draining(reply: Response | Promise<Response>) {
  return Response.json({ ...(await (await reply).json()), status: 'draining' }, { status: 503 })
}

async function startLocal(env: Env, say: (line: string) => void) {
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

if (import.meta.main) serveHub({ variables: process.env }).catch(fail)
