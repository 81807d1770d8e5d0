import type { CompletionRecord } from '../../shared/completions/completion-record.ts'
import type { InstrumentName, Sample } from './instruments.ts'
import type { LoadedMetrics } from './metrics-sdk.ts'
import { type Attributes, createSeries, type Series } from './series.ts'
import type { TelemetrySettings } from './settings.ts'

interface HandledRequest {
  method: string
  route?: string
  status: number
  tenant?: string
}

/** What is counted and timed of this process, for `/metrics` and OTLP. */
export interface Metrics {
  request(seconds: number, about: HandledRequest): void
  redisWave(seconds: number, role: string, error?: string): void
  completion(completed: CompletionRecord): void
  /** Adds samples that are taken when somebody asks. */
  sample(source: () => Promise<Sample[]> | Sample[]): void
  /** Prometheus' text format. */
  prometheus(): Promise<string>
  close(): Promise<void>
}

export interface MetricsOptions {
  settings: Pick<TelemetrySettings, 'serviceName' | 'attributes' | 'metrics'>
  /** A series for each tenant too: there may be many. */
  byTenant: boolean
}

const MOST_REMEMBERED = 5_000
/** Loading takes a tenth of a second: not while a hub starts. */
const LOAD_MS = 5_000

/** OpenTelemetry's metrics of what is added up here; loaded when they are first asked for, or soon where they are sent. */
export function createMetrics({ settings, byTenant }: MetricsOptions): Metrics {
  const sources: (() => Promise<Sample[]> | Sample[])[] = []
  const all = createSeries()
  let loading: Promise<LoadedMetrics> | undefined

  function load(): Promise<LoadedMetrics> {
    const sample = async () => (await Promise.all(sources.map(taken))).flat()
    loading ??= import('./metrics-sdk.ts').then(({ loadMetrics }) => loadMetrics(settings, all, sample))
    return loading
  }
  const timer = settings.metrics && setTimeout(load, LOAD_MS).unref()

  const ofTenant = (tenant?: string): Attributes => (byTenant && tenant ? { 'hub.tenant': tenant } : {})

  /** What equal ones are recorded by: looked for once each, as most are like others before. */
  const requests = remembered(({ method, route, status, tenant }: HandledRequest) =>
    all.series('http.server.request.duration', {
      'http.request.method': method,
      'http.response.status_code': status,
      ...(route && { 'http.route': route }),
      ...ofTenant(tenant),
    }),
  )
  const waves = remembered((role: string, error: string | undefined) =>
    all.series('db.client.operation.duration', {
      'db.system.name': 'redis',
      'hub.redis.role': role,
      ...(error && { 'error.type': error }),
    }),
  )
  const completions = remembered((completed: CompletionRecord, error: string | undefined) => {
    const tenant = ofTenant(completed.tenant)
    const failed: Attributes = error === undefined ? {} : { 'error.type': error }
    const ofModel = { ...modelOf(completed), ...tenant }
    const ofCall = { ...CHAT, ...ofModel }
    const outcome = { 'hub.cache.verdict': completed.verdict, 'hub.endpoint': completed.endpoint, ...tenant }
    const at = (name: InstrumentName, attributes: Attributes) => once(() => all.series(name, attributes))
    return {
      duration: at('hub.completion.duration', { ...outcome, ...failed }),
      saved: at('hub.completion.saved.usd', ofModel),
      savedTokens: at('hub.completion.saved.tokens', ofModel),
      call: at('gen_ai.client.operation.duration', { ...ofCall, ...failed }),
      firstChunk: at('gen_ai.client.operation.time_to_first_chunk', ofCall),
      errors: at('hub.provider.errors', { ...ofModel, ...failed }),
      cost: at('hub.completion.cost.usd', ofModel),
      input: at('gen_ai.client.token.usage', { ...ofCall, 'gen_ai.token.type': 'input' }),
      output: at('gen_ai.client.token.usage', { ...ofCall, 'gen_ai.token.type': 'output' }),
    }
  })

  return {
    request(seconds, about) {
      const { method, route, status, tenant } = about
      requests(`${method} ${status} ${tenant} ${route}`, about).record(seconds)
    },
    redisWave(seconds, role, error) {
      waves(`${role} ${error}`, role, error).record(seconds)
    },
    completion(completed) {
      const { tenant, verdict, endpoint, status, target, totalMs, firstMs, tokens } = completed
      const error = status >= 400 ? (completed.errorCode ?? String(status)) : undefined
      const of = completions(`${verdict} ${endpoint} ${error} ${tenant} ${target}`, completed, error)
      of.duration().record(totalMs / 1_000)
      if (completed.saved > 0) of.saved().record(completed.saved)
      if (completed.savedTokens > 0) of.savedTokens().record(completed.savedTokens)
      if (!CALLED.has(verdict)) return
      of.call().record(totalMs / 1_000)
      if (error !== undefined) of.errors().record(1)
      if (firstMs !== undefined && completed.streamed) of.firstChunk().record(firstMs / 1_000)
      if (completed.cost > 0) of.cost().record(completed.cost)
      if (!tokens) return
      of.input().record(tokens.input + tokens.cachedRead + tokens.cacheWrite)
      of.output().record(tokens.output)
    },
    sample: (source) => void sources.push(source),
    prometheus: async () => (await load()).prometheus(),
    async close() {
      clearTimeout(timer)
      await (await loading)?.close()
    },
  }
}

/** Verdicts of those who called the provider themselves. */
const CALLED = new Set<CompletionRecord['verdict']>(['miss', 'request', 'bypass'])
const CHAT = { 'gen_ai.operation.name': 'chat' }

/** Callers choose models; of the series of one metric OpenTelemetry keeps 2,000, and one for all others. */
function modelOf({ target = '_OTHER/_OTHER' }: CompletionRecord): Attributes {
  const slash = target.indexOf('/')
  return { 'gen_ai.provider.name': target.slice(0, slash), 'gen_ai.request.model': target.slice(slash + 1) }
}

/** What is made of arguments, by a key that says which they are. */
function remembered<Arguments extends unknown[], Made>(make: (...of: Arguments) => Made) {
  const known = new Map<string, Made>()
  return (key: string, ...of: Arguments): Made => {
    const found = known.get(key)
    if (found !== undefined) return found
    if (known.size >= MOST_REMEMBERED) known.clear()
    const made = make(...of)
    known.set(key, made)
    return made
  }
}

function once(make: () => Series): () => Series {
  let made: Series | undefined
  return () => (made ??= make())
}

/** A source that fails, as Redis may, takes nothing from the others. */
async function taken(source: () => Promise<Sample[]> | Sample[]): Promise<Sample[]> {
  try {
    return await source()
  } catch {
    return []
  }
}
