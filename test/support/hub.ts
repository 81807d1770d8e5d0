import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { Miniflare } from 'miniflare'
import { afterAll } from 'vitest'
import { startLambdaFunction } from './lambda.ts'

/** The admin key of every hub started here, unless its environment says otherwise. */
export const ADMIN_KEY = 'the-admin-key-of-the-tests'

/** Tests share a Redis and break the same model: none of them opens a breaker that it does not mean to. */
const common = { HUB_ADMIN_KEY: ADMIN_KEY, HUB_BREAKER_MIN_CALLS: '1000000' }

type Variables = Record<string, string | undefined>

export interface TestHub extends AsyncDisposable {
  /** Without a slash at its end. */
  url: string
  /** All that it has logged. */
  logs(): string
  stop(): Promise<void>
}

export interface NodeHub extends TestHub {
  process: ChildProcess
  /** SIGKILL: as a crash. `stop` is a graceful end. */
  kill(): Promise<void>
}

export interface HostedHub extends TestHub {
  /** The platform's schedule fires. */
  fireSchedule(): Promise<void>
}

export interface LambdaHub extends HostedHub {
  /** How many instances were started, for as many requests at the same time. */
  readonly instances: number
}

export interface StartOptions {
  /** Resolve once /readyz says that it can serve; true by default. */
  ready?: boolean
}

const root = new URL('../..', import.meta.url).pathname

/**
 * `node infra/node.ts` as a process.
 *
 * @example await using hub = await startNodeHub({ REDIS_URL: testRedisUrl() })
 */
export async function startNodeHub(env: Variables, options: StartOptions = {}): Promise<NodeHub> {
  const data = mkdtempSync(join(tmpdir(), 'hub-data-'))
  const child = spawn(process.execPath, [join(root, 'infra/node.ts')], {
    env: { PATH: process.env.PATH, PORT: '0', HUB_DATA_DIR: data, ...common, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const logs = collect(child)
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal)
      await once(child, 'exit')
    }
    rmSync(data, { recursive: true, force: true })
  }
  try {
    const url = await until('the Node hub listens', () => {
      if (child.exitCode !== null) throw new Error(`The hub ended with ${child.exitCode}:\n${logs()}`)
      return /redis-ai-hub is ready: (\S+)/.exec(logs())?.[1]
    })
    return await whenReady(options, {
      url,
      logs,
      process: child,
      stop: () => end('SIGTERM'),
      kill: () => end('SIGKILL'),
      [Symbol.asyncDispose]: () => end('SIGTERM'),
    })
  } catch (error) {
    await end('SIGKILL')
    throw error
  }
}

/**
 * The bundle that `wrangler deploy` uploads, in workerd, with the compatibility of wrangler.toml.
 *
 * @example await using hub = await startWorkerHub({ UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token })
 */
export async function startWorkerHub(
  env: Variables,
  { environment = '', ...options }: WorkerOptions = {},
): Promise<HostedHub> {
  const modules = await workerBundle(environment)
  let logs = ''
  const worker = new Miniflare({
    cf: false,
    enableDevRegistry: false,
    telemetry: { enabled: false },
    logRequests: false,
    handleStructuredLogs: ({ message }) => {
      logs += `${message}\n`
    },
    workers: [
      {
        config: {
          name: 'hub',
          ...compatibility(readFileSync(join(root, 'wrangler.toml'), 'utf8')),
          env: { ...textBindings({ HUB_ADMIN_KEY: ADMIN_KEY, ...env }), ASSETS: { type: 'assets' as const } },
          // As wrangler.toml says.
          assets: {
            directory: join(root, 'dist/face'),
            hasUserWorker: true,
            runWorkerFirst: true,
            htmlHandling: 'none',
          },
          manifest: { mainModule: Object.keys(modules)[0]!, modules },
        },
        // Past Miniflare's own Worker, which does not tell that a caller left.
        dev: { unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }] },
      },
    ],
  })
  const stop = () => worker.dispose()
  await worker.ready
  return whenReady(options, {
    url: (await worker.unsafeGetDirectURL()).origin,
    logs: () => logs,
    async fireSchedule() {
      const { scheduled } = (await worker.getWorker()) as unknown as Schedulable
      const { outcome } = await scheduled({ cron: '*/5 * * * *' })
      if (outcome !== 'ok') throw new Error(`The schedule ended with ${outcome}:\n${logs}`)
    },
    stop,
    [Symbol.asyncDispose]: stop,
  })
}

export interface WorkerOptions extends StartOptions {
  /** Of wrangler.toml. */
  environment?: string
}

/**
 * infra/lambda.ts as it is bundled for Lambda, behind a local API Gateway (`handler`, which buffers) or a streaming
 * function URL (`streamHandler`). As there, an instance serves one request at a time and is frozen between two.
 *
 * @example await using hub = await startLambdaHub({ REDIS_URL: testRedisUrl() }, { handler: 'streamHandler' })
 */
export async function startLambdaHub(
  env: Variables,
  { handler = 'handler', rim = 'lambda', file, ...options }: LambdaOptions = {},
): Promise<LambdaHub> {
  const bundle = file ?? (await lambdaBundle(rim))
  const hub = await startLambdaFunction(bundle, handler, {
    PATH: process.env.PATH,
    ...common,
    ...env,
  })
  return whenReady(options, hub)
}

export interface LambdaOptions extends StartOptions {
  handler?: 'handler' | 'streamHandler'
  /** The file in infra/. */
  rim?: 'lambda' | 'lambda-inference'
  /** Another bundle, such as the one in a package. */
  file?: string
}

/** Wrangler without update check, metrics and look-up of a place on the map. */
export const offline = {
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
}

/** Polls until there is something; throws what `look` throws, or after the deadline. */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 15_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`)
    await sleep(20)
  }
}

async function whenReady<Hub extends TestHub>({ ready = true }: StartOptions, hub: Hub): Promise<Hub> {
  if (!ready) return hub
  try {
    await until('the hub is ready', async () => (await fetch(`${hub.url}/readyz`)).ok)
    return hub
  } catch (cause) {
    const logs = hub.logs()
    await hub.stop()
    throw new Error(`The hub is not ready:\n${logs}`, { cause })
  }
}

/** Of a Worker's handle; its own type comes from a package that nothing else here needs. */
interface Schedulable {
  scheduled(event: { cron: string }): Promise<{ outcome: string }>
}

const textBindings = (env: Variables) =>
  Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, { type: 'text' as const, value }]],
    ),
  )

function compatibility(toml: string) {
  const [, compatibilityDate = ''] = /^compatibility_date = "(.+)"/m.exec(toml) ?? []
  const [, flags = '[]'] = /^compatibility_flags = (.+)/m.exec(toml) ?? []
  return { compatibilityDate, compatibilityFlags: JSON.parse(flags) as string[] }
}

/** Bundles of this test file. */
let folder: string | undefined
function bundles(): string {
  if (folder === undefined) {
    folder = mkdtempSync(join(tmpdir(), 'hub-bundles-'))
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules')) // for what is not bundled
  }
  return folder
}
afterAll(() => folder && rmSync(folder, { recursive: true, force: true }))

/** Made once for each key. */
function forEach<T>(make: (key: string) => Promise<T>) {
  const made = new Map<string, Promise<T>>()
  return (key: string) => {
    const bundle = made.get(key) ?? make(key)
    made.set(key, bundle)
    return bundle
  }
}

/** What wrangler uploads of an environment, the main module first. */
const workerBundle = forEach(async (environment) => {
  const directory = join(bundles(), `worker-${environment}`)
  const wrangler = join(root, 'node_modules/wrangler/bin/wrangler.js')
  await promisify(execFile)(
    process.execPath,
    [wrangler, 'deploy', '--dry-run', '--env', environment, '--outdir', directory],
    { cwd: root, env: { ...process.env, ...offline }, timeout: 60_000 },
  )
  const files = readdirSync(directory)
  const scripts = files.filter((file) => file.endsWith('.js'))
  const compiled = files.filter((file) => file.endsWith('.wasm'))
  const read = (file: string) => readFileSync(join(directory, file))
  return Object.fromEntries([
    ...scripts.map((file) => [file, { type: 'esm' as const, contents: read(file).toString() }] as const),
    ...compiled.map((file) => [file, { type: 'wasm' as const, contents: read(file) }] as const),
  ])
})

const lambdaBundle = forEach(async (rim) => {
  const outfile = join(bundles(), `${rim}.cjs`)
  // As serverless.yml says; test/infra/iac.test.ts runs what is really packaged.
  await build({
    entryPoints: [join(root, `infra/${rim}.ts`)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node24',
    alias: { effect: join(root, 'infra/absent.ts') },
    external: ['onnxruntime-node'],
    logLevel: 'warning',
  })
  return outfile
})

function collect(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
  }
  return () => text
}
