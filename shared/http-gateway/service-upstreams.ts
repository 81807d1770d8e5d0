import type { Patience } from '../completions/patience.ts'
import { HubError, NeverSentError } from '../errors.ts'
import { DEFAULT_TENANT } from '../keys.ts'
import { createRecall } from '../recall.ts'
import { chooseInstance, type Instance } from '../services/instance.ts'
import { noneHealthy, type Services } from '../services/services.ts'

/** What is known of a service is asked for again after this, and serves on while Redis is away. */
const RECALL = { freshMs: 500, staleMs: 5 * 60_000, maxSize: 1_000 }
/** Instances that one request is offered to. */
const MOST_TRIES = 3

/** An upstream `service://<name>/<base path>`: where its instances are is known to service discovery. */
export const isService = (upstream: URL) => upstream.protocol === 'service:'

/**
 * Sends requests to instances of services. They are those of the default tenant, whoever calls: a tenant that could name them would
 * be sent the headers that a route adds.
 */
export function createServiceUpstreams({
  services,
  random = Math.random,
}: {
  services: Services
  random?: () => number
}) {
  const recall = createRecall<Instance[]>(RECALL)
  return {
    /**
     * By weight to one that is well; to another one where there was no connection. Throws 503 `no_healthy_instance`, and what
     * `sendTo` throws.
     */
    async send<T>(target: URL, sendTo: (url: URL) => Promise<T>, patience: Patience): Promise<T> {
      const name = target.host
      const known = await recall.get(name, () =>
        patience.wait((timeoutMs) => services.instances(DEFAULT_TENANT, name, { timeoutMs })),
      )
      let open: readonly Instance[] = known
      let failure: unknown
      for (let tries = 0; tries < MOST_TRIES; tries++) {
        const chosen = chooseInstance(open, random)
        if (!chosen) break
        try {
          return await sendTo(urlOf(chosen, target))
        } catch (error) {
          if (!wasNeverSent(error)) throw error
          failure = error
          open = open.filter((instance) => instance !== chosen)
        }
      }
      throw failure ?? noneHealthy(name)
    },
  }
}

export type ServiceUpstreams = ReturnType<typeof createServiceUpstreams>

/** Only path and query are of the request: an instance says where it is. */
function urlOf(instance: Instance, { pathname, search }: URL): URL {
  const url = new URL(instance.url)
  url.pathname = url.pathname.replace(/\/$/, '') + pathname
  url.search = search
  url.hash = ''
  return url
}

const wasNeverSent = (error: unknown) => error instanceof HubError && error.cause instanceof NeverSentError
