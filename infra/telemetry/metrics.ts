import type { CompletionRecord } from '../../shared/completions/completion-record.ts'
import type { InstrumentName, Sample } from './instruments.ts'
import type { LoadedMetrics } from './metrics-sdk.ts'
import type { TelemetrySettings } from './settings.ts'

type Attributes = Record<string, string | number>

/** What is counted and timed of this process, for `/metrics` and OTLP. */
export interface Metrics {
  request(seconds: number, about: { method: string; route?: string; status: number; tenant?: string }): void
  redisWave(seconds: number, role: string, error?: string): void
  completion(record: CompletionRecord): void
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

/** Loading takes a tenth of a second: not while a hub starts. */
const LOAD_MS = 5_000
/** What is noted until then, at most: one more and it is loaded at once. */
const MOST_NOTED = 1_000

/**
 * OpenTelemetry's metrics, loaded when they are first asked for or some seconds after the first one was noted: until then they are only
 * noted, so that none is lost and a start costs nothing.
 */
export function createMetrics({ settings, byTenant }: MetricsOptions): Metrics {
  const sources: (() => Promise<Sample[]> | Sample[])[] = []
  let noted: [InstrumentName, number, Attributes][] = []
  let loading: Promise<LoadedMetrics> | undefined
  let loaded: LoadedMetrics | undefined
  let timer: NodeJS.Timeout | undefined

  function note(name: InstrumentName, value: number, attributes: Attributes) {
    if (loaded) return loaded.record(name, value, attributes)
    noted.push([name, value, attributes])
    if (noted.length >= MOST_NOTED) void load()
    else timer ??= setTimeout(load, LOAD_MS).unref()
  }

  function load(): Promise<LoadedMetrics> {
    loading ??= import('./metrics-sdk.ts').then(async ({ loadMetrics }) => {
      const made = await loadMetrics(settings, async () => (await Promise.all(sources.map(taken))).flat())
      for (const one of noted) made.record(...one)
      noted = []
      loaded = made
      return made
    })
    return loading
  }
  if (settings.metrics) timer = setTimeout(load, LOAD_MS).unref()

  const ofTenant = (tenant?: string): Attributes => (byTenant && tenant ? { 'hub.tenant': tenant } : {})

  return {
    request(seconds, { method, route, status, tenant }) {
      note('http.server.request.duration', seconds, {
        'http.request.method': method,
        'http.response.status_code': status,
        ...(route && { 'http.route': route }),
        ...ofTenant(tenant),
      })
    },
    redisWave(seconds, role, error) {
      note('db.client.operation.duration', seconds, {
        'db.system.name': 'redis',
        'hub.redis.role': role,
        ...(error && { 'error.type': error }),
      })
    },
    completion(record) {
      const { verdict, endpoint, status, totalMs, firstMs, tokens, cost, saved, savedTokens } = record
      const tenant = ofTenant(record.tenant)
      const ofModel = { ...modelOf(record), ...tenant }
      const error: Attributes = status >= 400 ? { 'error.type': record.errorCode ?? String(status) } : {}
      const outcome = { 'hub.cache.verdict': verdict, 'hub.endpoint': endpoint, ...tenant }
      note('hub.completion.duration', totalMs / 1_000, { ...outcome, ...error })
      if (saved > 0) note('hub.completion.saved.usd', saved, ofModel)
      if (savedTokens > 0) note('hub.completion.saved.tokens', savedTokens, ofModel)
      if (!CALLED.has(verdict)) return
      note('gen_ai.client.operation.duration', totalMs / 1_000, { ...CHAT, ...ofModel, ...error })
      if (status >= 400) note('hub.provider.errors', 1, { ...ofModel, ...error })
      if (firstMs !== undefined && record.streamed) {
        note('gen_ai.client.operation.time_to_first_chunk', firstMs / 1_000, { ...CHAT, ...ofModel })
      }
      if (cost > 0) note('hub.completion.cost.usd', cost, ofModel)
      if (!tokens) return
      const input = tokens.input + tokens.cachedRead + tokens.cacheWrite
      note('gen_ai.client.token.usage', input, { ...CHAT, ...ofModel, 'gen_ai.token.type': 'input' })
      note('gen_ai.client.token.usage', tokens.output, { ...CHAT, ...ofModel, 'gen_ai.token.type': 'output' })
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

/** A source that fails, as Redis may, takes nothing from the others. */
async function taken(source: () => Promise<Sample[]> | Sample[]): Promise<Sample[]> {
  try {
    return await source()
  } catch {
    return []
  }
}
