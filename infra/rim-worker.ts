import type { KeptModels } from '../shared/inference/kept-models.ts'
import type { ModelRuntime } from '../shared/ports/model-runtime.ts'
import { createDeferred } from './deferred.ts'
import { type Hub, wireHosted } from './hosted.ts'
import { log } from './log.ts'

type Bindings = Record<string, unknown>
interface Context {
  waitUntil(work: Promise<unknown>): void
}

/** What every Worker of ours exports; `modelRuntime` where its bundle carries one. */
export function createWorker({ modelRuntime }: { modelRuntime?: ModelRuntime } = {}) {
  const rim = {
    ...{ sharesRequests: false, countsCalls: true, log },
    drains: { kickMs: 25_000, scheduledMs: 60_000 }, // waitUntil is cut off after 30 s
    // Models are memory, which no request owns.
    ...{ modelRuntime, keptModels: new WeakMap<ModelRuntime, KeptModels>() },
  }
  const hubs = new WeakMap<Bindings, Hub>()

  /** Over HTTP nothing of one request is kept for the next, so that one hub serves them all. */
  function hubOfIsolate(env: Bindings): Hub {
    const hub = hubs.get(env) ?? wireHosted(env, { ...rim, tallyDelayMs: 1_000 })
    hubs.set(env, hub)
    return hub
  }

  return {
    async fetch(request: Request, env: Bindings, context: Context): Promise<Response> {
      const deferred = createDeferred(log)
      const defer = (work: Promise<unknown>) => context.waitUntil(deferred.defer(work))
      const clientAddress = request.headers.get('cf-connecting-ip') ?? undefined
      if (!connects(env)) return hubOfIsolate(env).app.fetch(request, { defer, clientAddress })

      const hub = wireHosted(env, { ...rim, tallyDelayMs: 0 })
      const answer = Promise.resolve(hub.app.fetch(request, { defer, clientAddress })).then(watch)
      context.waitUntil(answer.then(({ over }) => over.then(deferred.settled)).finally(hub.close))
      return (await answer).response
    },

    async scheduled({ cron }: { cron: string }, env: Bindings): Promise<void> {
      if (!connects(env)) return hubOfIsolate(env).scheduled(cron)
      const hub = wireHosted(env, { ...rim, tallyDelayMs: 0 })
      await hub.scheduled(cron).finally(hub.close)
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
