import type { Log } from '../functions/deps.ts'
import { createAssetsWorker } from '../shared/drivers/assets-worker.ts'
import type { KeptModels } from '../shared/inference/kept-models.ts'
import type { ModelRuntime } from '../shared/ports/model-runtime.ts'
import { createDeferred } from './deferred.ts'
import { type Hub, wireHosted } from './hosted.ts'
import { createLog } from './log.ts'
import { startHostedTelemetry } from './telemetry/hosted-telemetry.ts'
import type { Telemetry } from './telemetry/telemetry.ts'
import type { Rim } from './wire.ts'

type Bindings = Record<string, unknown>
interface Context {
  waitUntil(work: Promise<unknown>): void
}

/** What every Worker of ours exports; `modelRuntime` where its bundle carries one. */
export function createWorker({ modelRuntime }: { modelRuntime?: ModelRuntime } = {}) {
  const rim = {
    ...{ sharesRequests: false, countsCalls: true },
    drains: { kickMs: 25_000, scheduledMs: 60_000 }, // waitUntil is cut off after 30 s
    // Models are memory, which no request owns.
    ...{ modelRuntime, keptModels: new WeakMap<ModelRuntime, KeptModels>() },
  }
  const hubs = new WeakMap<Bindings, Hub>()
  const begun = new WeakMap<Bindings, Promise<{ log: Log; telemetry: Telemetry }>>()

  /** Of an isolate: its log, and its spans where somebody wants them. */
  function begin(env: Bindings) {
    const log = createLog(env)
    const one = begun.get(env) ?? startHostedTelemetry(env, log).then((telemetry) => ({ log, telemetry }))
    begun.set(env, one)
    return one
  }

  /** Over HTTP nothing of one request is kept for the next, so that one hub serves them all. */
  function hubOfIsolate(env: Bindings, watched: Pick<Rim, 'log' | 'telemetry'>): Hub {
    const hub =
      hubs.get(env) ??
      wireHosted(env, { ...rim, ...watched, assets: createAssetsWorker(env.ASSETS), tallyDelayMs: 1_000 })
    hubs.set(env, hub)
    return hub
  }

  return {
    async fetch(request: Request, env: Bindings, context: Context): Promise<Response> {
      const watched = await begin(env)
      const { tracing } = watched.telemetry
      const deferred = createDeferred(watched.log)
      const defer = (work: Promise<unknown>) => context.waitUntil(deferred.defer(work))
      const clientAddress = request.headers.get('cf-connecting-ip') ?? undefined
      if (!connects(env)) {
        const answer = hubOfIsolate(env, watched).app.fetch(request, { defer, clientAddress })
        if (tracing) context.waitUntil(Promise.resolve(answer).then(deferred.settled).then(tracing.flush))
        return answer
      }

      const hub = wireHosted(env, {
        ...{ ...rim, ...watched, tallyDelayMs: 0 },
        assets: createAssetsWorker(env.ASSETS),
      })
      const answer = Promise.resolve(hub.app.fetch(request, { defer, clientAddress })).then(watch)
      const over = answer.then(({ over }) => over.then(deferred.settled)).finally(hub.close)
      context.waitUntil(over.then(tracing?.flush))
      return (await answer).response
    },

    async scheduled({ cron }: { cron: string }, env: Bindings): Promise<void> {
      const watched = await begin(env)
      const hub = connects(env)
        ? wireHosted(env, { ...rim, ...watched, tallyDelayMs: 0 })
        : hubOfIsolate(env, watched)
      await hub.scheduled(cron).finally(() => (connects(env) ? hub.close() : undefined))
      await watched.telemetry.tracing?.flush()
    },
  }
}

/** A TCP connection cannot be used by another request than the one that opened it. */
const connects = ({ REDIS_URL, HUB_CACHE_REDIS_URL }: Bindings) =>
  Boolean(REDIS_URL) || /^rediss?(\+\w+)?:/.test(String(HUB_CACHE_REDIS_URL))

function watch(response: Response): { response: Response; over: Promise<void> } {
  if (!response.body) return { response, over: Promise.resolve() }
  const { readable, writable } = new TransformStream()
  const over = response.body.pipeTo(writable).catch(() => {}) // the client left
  return { response: new Response(readable, response), over }
}
