import { createHash } from 'node:crypto'
import { estimateTokenCount } from 'tokenx'
import { createApp } from '../functions/app.ts'
import type { Log } from '../functions/deps.ts'
import packageJson from '../package.json' with { type: 'json' }
import { createAdmission } from '../shared/admission.ts'
import { createAudit } from '../shared/audit/audit.ts'
import { createCacheRoom } from '../shared/cache-room.ts'
import { createCollapse } from '../shared/completions/collapse.ts'
import { createCompletionCache } from '../shared/completions/completion-cache.ts'
import { createLook } from '../shared/completions/completion-look.ts'
import type { Observe } from '../shared/completions/completion-record.ts'
import { createCompletions } from '../shared/completions/completions.ts'
import { createDashboardSessions } from '../shared/dashboard-session.ts'
import { createChat } from '../shared/drivers/chat.ts'
import { createChatLanes } from '../shared/drivers/chat-lanes.ts'
import type { EmbedderLocal } from '../shared/drivers/embedder-local.ts'
import { createOutgoingFetch } from '../shared/drivers/outgoing-fetch.ts'
import { createOutgoingNode } from '../shared/drivers/outgoing-node.ts'
import { createRedisResp } from '../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../shared/drivers/redis-rest.ts'
import { createHttpCache } from '../shared/http-gateway/http-cache.ts'
import { createHttpGateway } from '../shared/http-gateway/http-gateway.ts'
import { createHttpRoutes } from '../shared/http-gateway/http-routes.ts'
import { createServiceUpstreams } from '../shared/http-gateway/service-upstreams.ts'
import { createHubKeys, createKeyring } from '../shared/hub-keys.ts'
import type { KeptModels } from '../shared/inference/kept-models.ts'
import { createBudgets } from '../shared/metering/budgets.ts'
import { createHolds } from '../shared/metering/holds.ts'
import { createLimits } from '../shared/metering/limits.ts'
import { createMeter } from '../shared/metering/meter.ts'
import { createTally } from '../shared/metering/tally.ts'
import { createUsage } from '../shared/metering/usage.ts'
import { createBreakers } from '../shared/models/breakers.ts'
import { createModelRouter } from '../shared/models/model-router.ts'
import { createModelRoutes } from '../shared/models/model-routes.ts'
import type { Assets } from '../shared/ports/assets.ts'
import type { CountTokens } from '../shared/ports/chat.ts'
import type { ModelRuntime } from '../shared/ports/model-runtime.ts'
import type { Outgoing } from '../shared/ports/outgoing.ts'
import type { ReadPdf } from '../shared/ports/pdf.ts'
import type { Redis } from '../shared/ports/redis.ts'
import { createPrompts } from '../shared/prompts/prompts.ts'
import { createFileSearch } from '../shared/responses/file-search.ts'
import { createResponseStore } from '../shared/responses/response-store.ts'
import { createResponses } from '../shared/responses/responses.ts'
import { createAsk } from '../shared/retrieval/ask.ts'
import { createCitedAnswers } from '../shared/retrieval/cited-answers.ts'
import { createSecrets } from '../shared/secrets.ts'
import { type Env, readEnv } from './env.ts'
import type { Telemetry } from './telemetry/telemetry.ts'
import { wireAgents } from './wire-agents.ts'
import { wireAlerts } from './wire-alerts.ts'
import { wireEvents } from './wire-events.ts'
import { wireFace, wireObservers } from './wire-face.ts'
import { wireFeatures } from './wire-features.ts'
import { wireInference } from './wire-inference.ts'
import { wireJobs } from './wire-jobs.ts'
import { wirePipelines } from './wire-pipelines.ts'
import { wirePlatform } from './wire-platform.ts'
import { wireRealtime } from './wire-realtime.ts'
import { wireRetrieval } from './wire-retrieval.ts'
import { wireSchedules } from './wire-schedules.ts'
import { wireSessions } from './wire-sessions.ts'
import { wireTelemetry } from './wire-telemetry.ts'
import { wireTenants } from './wire-tenants.ts'

/** What a rim says of its runtime. */
export interface Rim {
  /** Whether one request may read what another one of this process receives. */
  sharesRequests: boolean
  /** How long counters may be collected before they are written, in ms; 0 where nothing runs between requests. */
  tallyDelayMs: number
  /** Whether the runtime bounds the calls that one request may make: to `HUB_REDIS_CALLS` of them to Redis. */
  countsCalls?: boolean
  /** Anyone can reach it, so it serves nobody without `HUB_ADMIN_KEY`. */
  needsAdminKey?: boolean
  /** Nothing runs between requests: how long queued work is worked on after one that brought some, and at the schedule, in ms. */
  drains?: { kickMs: number; scheduledMs: number }
  /** The longest that a stream of server-sent events may last, where the runtime would cut it off, in ms. */
  longestStreamMs?: number
  /** It stops between two requests, and a connection may be found dead after that. */
  freezes?: boolean
  /** Signs hub keys where the environment sets neither secret nor admin key. */
  keySecret?: string
  /** For providers; the runtime's own by default. */
  fetch?: typeof globalThis.fetch
  /** Counts what a provider did not; by estimate where the runtime cannot carry a tokenizer. */
  countTokens?: CountTokens
  /** The embedded model `local`, where the runtime can carry it; closed with the hub. */
  localEmbedder?: EmbedderLocal
  /** Whether a word is English, where the runtime can carry a dictionary: the semantic cache sees slips of the keyboard by it. */
  isWord?(word: string): boolean
  /** Runs models in this process, where the runtime can; closed with the hub, unless `keptModels` are given. */
  modelRuntime?: ModelRuntime
  /** Where a request may have a hub of its own: models that stay loaded for the next one's. */
  keptModels?: WeakMap<ModelRuntime, KeptModels>
  /** Reads PDFs, where the runtime can. */
  readPdf?: ReadPdf
  /** The pages of the face, where the runtime has them. */
  assets?: Assets
  /** What watches it, where the runtime can; stays the rim's to close. */
  telemetry?: Telemetry
  /** How it calls upstreams; Node's own connections, or `fetch` where there are none. */
  outgoing?: Outgoing
  log: Log
}

/** Builds the drivers and the app from the environment. The one place that knows every driver. */
export function wire(variables: Record<string, string | undefined>, rim: Rim, connect = connectRedis) {
  const env = readEnv(variables)
  const { log } = rim
  if (rim.needsAdminKey && !env.HUB_ADMIN_KEY) {
    throw new Error('HUB_ADMIN_KEY is not set: this runtime serves nobody without it. Set it as a secret.')
  }
  const watch = wireTelemetry(env, rim)
  const { redis, cacheRedis, vectorRedis, ...connections } = watch.connections(connect(env, log, rim.freezes))
  const { blockingRedis, connectBlocking, connectRedisai } = connections
  const clock = Date
  const chatOptions = {
    env: variables,
    providers: env.HUB_PROVIDERS,
    silenceMs: env.HUB_PROVIDER_SILENCE_SECONDS * 1000,
    fetch: rim.fetch,
  }
  const chat = watch.chat(createChat({ ...chatOptions, defaultProvider: env.HUB_DEFAULT_PROVIDER }))
  const breakers = createBreakers({ redis, clock, policy: breakerPolicy(env), delayMs: rim.tallyDelayMs })
  // Where nobody sets keys, the kept one that signs hub keys serves here too.
  const sealing = env.HUB_SECRET_KEY ?? (env.HUB_ADMIN_KEY ? undefined : rim.keySecret)
  const secrets = sealing === undefined ? undefined : createSecrets(sealing)
  const modelRoutes = createModelRoutes({ redis, secrets, clock })
  const laneOf = createChatLanes(chatOptions)
  const modelRouter = createModelRouter({
    ...{ redis, chat, routes: modelRoutes, breakers },
    laneOf: (lane) => watch.chat(laneOf(lane)),
  })
  const keyring = createKeyring(keySecret(env, rim))
  const limits = createLimits(redis)
  const admission = createAdmission({ redis, keyring, limits, clock, adminKey: env.HUB_ADMIN_KEY })
  const collapse = createCollapse({
    redis: cacheRedis,
    sharesRequests: rim.sharesRequests,
    callBudget: rim.countsCalls ? env.HUB_REDIS_CALLS : undefined,
  })
  const room = createCacheRoom({ redis: cacheRedis, shared: cacheRedis === redis, clock })
  const tally = createTally({ redis, delayMs: rim.tallyDelayMs })
  const budgets = createBudgets({ redis, reservationMs: env.HUB_RESERVATION_SECONDS * 1000 })
  const usage = createUsage({ redis, tally, clock, keptDays: env.HUB_USAGE_DAYS })
  const { countTokens = async (text: string) => estimateTokenCount(text) } = rim
  const prompts = createPrompts({ redis, now: clock.now })
  const holds = createHolds({ limits, budgets, usage, clock })
  const meter = createMeter({ holds, countTokens })
  const observed = wireObservers({ redis, tally, env, rim, clock })
  const inference = wireInference({
    ...{ redis, connectRedisai, usage, env, rim, clock },
    observe: observed.traffic.observeInference,
  })
  const retrieval = wireRetrieval({
    vectorRedis,
    serving: inference.deps.serving,
    ...{ env, rim, watch, redis, cacheRedis, room, holds, countTokens, admission, clock },
    providerOptions: chatOptions,
  })
  const httpRoutes = createHttpRoutes({ redis })
  const outgoing = watch.outgoing(rim.outgoing ?? createOutgoing(env))
  const { look, hashOf } = createLook({ redis, cacheRedis, admission, router: modelRouter, prompts })
  const complete = createCompletions({
    ...{ look, collapse, room, meter, usage, tally, clock },
    observe: observeAll(watch.observe, observed.observe),
    refuseWhenAway: env.HUB_REDIS_DOWN === 'refuse',
    semantic: {
      cache: retrieval.semanticCache,
      maxTemperature: env.HUB_SEMANTIC_MAX_TEMPERATURE,
      judgeModel: env.HUB_SEMANTIC_JUDGE,
    },
  })
  const { documents, indexes, search } = retrieval.deps
  const queue = wireJobs({ redis, blockingRedis, documents, indexes, admission, env, rim, clock })
  const realtime = wireRealtime({ redis, keyring, env, rim, clock })
  const alerts = wireAlerts({
    ...{ redis, connectBlocking, outgoing, secrets, env, rim, clock },
    realtime: realtime.deps.realtime,
  })
  const features = wireFeatures({ redis, env, rim, clock })
  const citedAnswers = createCitedAnswers({ redis, cacheRedis, hashOf, documents })
  const ask = createAsk({
    ...{ search, documents, complete, countTokens },
    citedAnswers,
    defaultModel: env.HUB_ASK_MODEL ?? 'local/local',
  })
  const agents = wireAgents({
    ...{ redis, cacheRedis, room, outgoing, breakers, secrets, admission, env, rim, watch, clock },
    ...{ search, ask, documents, indexes, complete, modelRouter, countTokens },
    oip: inference.deps.oip,
    ...{
      vectors: retrieval.vectors,
      embeddings: retrieval.deps.embeddings,
      realtime: realtime.deps.realtime,
    },
  })
  const { agentMail } = agents.deps
  const pipelines = wirePipelines({
    ...{ redis, env, clock, ...features.deps, ...inference.deps },
    ...{ embeddings: retrieval.deps.embeddings, alertRules: alerts.deps.alertRules },
  })
  const events = wireEvents({
    ...{ alerts, agentMail, ...pipelines.deps },
    features: features.deps.features,
    ...{ redis, connectBlocking, documents, indexes, search, admission, outgoing, secrets, env, rim, clock },
  })
  watch.sample({ redis, breakers, streams: events.deps.streams })
  const schedules = wireSchedules({
    ...{ redis, secrets, outgoing, admission, documents, indexes, env, rim, clock },
    ...{ agentMail, intake: events.deps.intake, extractText: retrieval.deps.extractText },
  })
  const tenants = wireTenants({
    ...{ redis, cacheRedis, connectRedisai, admission, env, rim, clock },
    vectors: retrieval.vectors,
  })
  const users = wireSessions({ redis, keyring, realtime: realtime.deps.realtime })
  const audit = createAudit({
    ...{
      redis,
      clock,
      owner: env.HUB_ADMIN_KEY === undefined ? 'local' : 'admin',
      keptDays: env.HUB_AUDIT_DAYS,
    },
    callBudget: rim.countsCalls ? env.HUB_REDIS_CALLS : undefined,
  })
  const platform = wirePlatform({ redis, env, rim, readers: realtime.deps.readers })
  const hubKeys = createHubKeys({ redis, keyring, now: clock.now })
  const face = wireFace({
    ...{ ...observed, redis, hubKeys, limits, usage, budgets, breakers, env, rim, clock },
    ...{ ...events.deps, schedules: schedules.deps.schedules, alertRules: alerts.deps.alertRules },
    models: inference.deps.models,
  })
  const app = createApp(
    {
      ...{ redis, clock, admission, log, version: packageJson.version },
      assets: rim.assets,
      dashboardSessions: createDashboardSessions({ keyring, limits, clock, adminKey: env.HUB_ADMIN_KEY }),
      metrics: rim.telemetry?.metrics,
      hubKeys,
      ...face.deps,
      complete,
      hashOf,
      completionCache: createCompletionCache({ redis, cacheRedis }),
      responses: createResponses({
        ...{ complete, admission, clock },
        store: createResponseStore({ redis }),
        searchFiles: createFileSearch({ search, countTokens, citedAnswers }),
      }),
      ...{ modelRoutes, modelRouter, breakers, budgets, usage },
      prompts,
      ...{ httpRoutes, outgoing },
      ...retrieval.deps,
      jobs: queue.jobs,
      ...events.deps,
      ...alerts.deps,
      ...schedules.deps,
      ...features.deps,
      ...inference.deps,
      ...pipelines.deps,
      ...realtime.deps,
      ...agents.deps,
      ...platform.deps,
      ...users.deps,
      audit,
      ...tenants.deps,
      ask,
      httpGateway: createHttpGateway({
        ...{ redis, cacheRedis, admission, limits, outgoing, clock },
        routes: httpRoutes,
        services: createServiceUpstreams({ services: platform.deps.services }),
        cache: createHttpCache({ redis: cacheRedis, room }),
        hubId: hubId(keySecret(env, rim)),
        keyless: env.HUB_ADMIN_KEY === undefined,
        maxBodyBytes: env.HUB_MAX_BODY_BYTES,
      }),
    },
    {
      observe: watch.middleware,
      functions: env.FUNCTIONS,
      localOnly: env.HUB_ADMIN_KEY === undefined,
      maxBodyBytes: env.HUB_MAX_BODY_BYTES,
      maxModelBytes: env.HUB_MODEL_MAX_BYTES,
    },
  )
  const close = async () => {
    realtime.close()
    await Promise.all([retrieval.close(), inference.close(), tenants.close()])
    const connections = new Set([redis, cacheRedis, vectorRedis.reads, vectorRedis.writes, blockingRedis])
    await Promise.all([...connections].map((connection) => connection?.close()))
  }
  const has = (name: string) => env.FUNCTIONS?.includes(name) ?? true
  /** What is done besides answering, where one of these functions is deployed. */
  const chores: Chore[] = [
    // The semantic cache leaves something to sweep too.
    { of: ['search', 'cache-complete'], run: retrieval.keepSwept, drain: retrieval.sweep },
    { of: ['search'], ...queue },
    { of: ['infer'], run: inference.run },
    { of: ['ingest-event'], ...events },
    { of: ['ingest-event'], ...schedules },
    { of: ['agent-step'], ...agents },
    { of: ['platform'], ...tenants },
    { of: ['usage'], ...face },
  ].filter(({ of }) => of.some(has))
  const scheduled = async (trigger: string) => {
    log.info({ msg: 'Scheduled', trigger })
    await Promise.all(chores.map(({ drain }) => drain?.()))
  }
  /** What a runtime that lives on does besides answering, until the signal aborts. */
  const work = async (signal: AbortSignal) => {
    signal.addEventListener('abort', realtime.close, { once: true })
    await Promise.all(chores.map(({ run }) => run(signal)))
  }
  return { app, env, scheduled, work, close }
}

/** One observer of all that are there. */
function observeAll(...given: (Observe | undefined)[]): Observe {
  const all = given.filter((one) => one !== undefined)
  return (record) => {
    const work = all.flatMap((observe) => observe(record) ?? [])
    return work.length > 0 ? Promise.all(work).then(() => {}) : undefined
  }
}

interface Chore {
  of: string[]
  /** Until the signal aborts; where the runtime lives on between requests. */
  run(signal: AbortSignal): Promise<void>
  /** What the platform's schedule does where it does not. */
  drain?(): Promise<void>
}

export interface Connections {
  redis: Redis
  /** The same as `redis` where it has no server of its own. */
  cacheRedis: Redis
  /** Of one server with `redis`. A search or write of milliseconds holds up what its connection is asked after it. */
  vectorRedis: { reads: Redis; writes: Redis }
  /** For reads that wait; only RESP has them. Opens at its first use. */
  blockingRedis?: Redis
  /** One more such connection, for whoever closes it. */
  connectBlocking?: () => Redis
  /** A connection to where RedisAI may be, for whoever closes it. */
  connectRedisai?: () => Redis
}

/** State and cache: two ports, one server by default. */
export function connectRedis(env: Env, log: Log, patient = false): Connections {
  const onError = (cause: Error) =>
    patient
      ? log.info({ msg: 'Redis connection', cause: cause.message }) // lost in the freeze: nothing is wrong
      : log.error({ msg: 'Redis connection', cause })
  const onBack = (at: string) => patient || log.info({ msg: 'Redis connection is back', at })
  const resp = (url: string) => createRedisResp({ url, patient, onError, onBack })
  const redis = connectState(env, resp)
  const redisaiUrl = env.HUB_REDISAI_URL ?? env.REDIS_URL
  const own = () => (env.REDIS_URL ? resp(env.REDIS_URL) : redis)
  return {
    ...{ redis, cacheRedis: connectCache(env, resp) ?? redis },
    vectorRedis: { reads: own(), writes: own() },
    blockingRedis: env.REDIS_URL ? resp(env.REDIS_URL) : undefined,
    connectBlocking: env.REDIS_URL ? () => resp(env.REDIS_URL!) : undefined,
    connectRedisai: redisaiUrl === undefined ? undefined : () => resp(redisaiUrl),
  }
}

function connectState(env: Env, resp: (url: string) => Redis): Redis {
  if (env.REDIS_URL) return resp(env.REDIS_URL)
  if (env.UPSTASH_REDIS_REST_URL) {
    return createRedisRest({ url: env.UPSTASH_REDIS_REST_URL, token: env.UPSTASH_REDIS_REST_TOKEN! })
  }
  throw new Error('No Redis: set REDIS_URL, or UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN.')
}

function connectCache(env: Env, resp: (url: string) => Redis): Redis | undefined {
  const url = env.HUB_CACHE_REDIS_URL
  if (!url) return undefined
  return url.startsWith('http') ? createRedisRest({ url, token: env.HUB_CACHE_REDIS_TOKEN! }) : resp(url)
}

const breakerPolicy = (env: Env) => ({
  failureRate: env.HUB_BREAKER_FAILURE_RATE,
  minCalls: env.HUB_BREAKER_MIN_CALLS,
  windowMs: env.HUB_BREAKER_WINDOW_SECONDS * 1000,
  openMs: env.HUB_BREAKER_OPEN_SECONDS * 1000,
  probeMs: env.HUB_BREAKER_PROBE_SECONDS * 1000,
})

/** Every instance of a hub has its secret; no other hub has. */
const hubId = (secret: string) => createHash('sha256').update(`hub-id\n${secret}`).digest('hex').slice(0, 12)

/** Workers make no connections whose address could be chosen. */
function createOutgoing(env: Env): Outgoing {
  const options = { silenceMs: env.HUB_UPSTREAM_SILENCE_SECONDS * 1000 }
  const onWorkers = globalThis.navigator?.userAgent === 'Cloudflare-Workers'
  return onWorkers ? createOutgoingFetch(options) : createOutgoingNode(options)
}

function keySecret(env: Env, rim: Rim): string {
  if (env.HUB_KEY_SECRET) return env.HUB_KEY_SECRET
  if (env.HUB_ADMIN_KEY)
    return createHash('sha256').update(`hub-key-secret\n${env.HUB_ADMIN_KEY}`).digest('hex')
  if (rim.keySecret) return rim.keySecret
  throw new Error('Set HUB_ADMIN_KEY: this runtime serves nobody without it.')
}
