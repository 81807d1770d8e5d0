import { createChat } from '../../shared/drivers/chat.ts'
import { createChatLanes } from '../../shared/drivers/chat-lanes.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createBreakers } from '../../shared/models/breakers.ts'
import { createModelRouter, type ModelRouterOptions, type Route } from '../../shared/models/model-router.ts'
import { createModelRoutes, type ModelRoute } from '../../shared/models/model-routes.ts'
import type { ChatTarget } from '../../shared/ports/chat.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import { createSecrets } from '../../shared/secrets.ts'
import { unique } from './app.ts'
import { startProvider } from './provider.ts'
import { testRedisUrl } from './redis.ts'

export const POLICY = { failureRate: 0.5, minCalls: 4, windowMs: 30_000, openMs: 600, probeMs: 1_500 }

type Behaviour = Parameters<typeof startProvider>[0]

/**
 * A model router on the real Redis, in front of providers whose names belong to this test alone: breakers are shared.
 *
 * @example await using hub = await startRouter({ one: { status: 500 }, two: {} }); await hub.alias({ targets: ['one', 'two'] })
 */
export async function startRouter(
  behaviours: Record<string, Behaviour>,
  {
    policy = POLICY,
    secretKey = 'the secret key of the tests',
    redisUrl = testRedisUrl(),
    ...others
  } = {} as {
    policy?: typeof POLICY
    secretKey?: string
    redisUrl?: string
    now?: () => number
  } & Pick<Partial<ModelRouterOptions>, 'random'>,
) {
  const suffix = unique('p')
  const providers = Object.fromEntries(
    await Promise.all(
      Object.entries(behaviours).map(
        async ([name, behaviour]) => [name, await startProvider(behaviour)] as const,
      ),
    ),
  )
  const nameOf = (name: string) => `${name}-${suffix}`
  const options = {
    env: { TEST_KEY: 'sk-of-the-environment' },
    providers: Object.fromEntries(
      Object.entries(providers).map(([name, { url }]) => [
        nameOf(name),
        { base_url: url, key_env: 'TEST_KEY' },
      ]),
    ),
  }
  const tenant = unique('tenant')
  const opened: Redis[] = []
  const hub = {
    ...instance(),
    providers,
    tenant,
    /** Another process would have the same on a connection of its own. */
    instance,
    modelOf: (name: string) => `${nameOf(name)}/m`,
    async [Symbol.asyncDispose]() {
      await Promise.all([
        ...opened.map((redis) => redis.close()),
        ...Object.values(providers).map(({ close }) => close()),
      ])
    },
  }
  return hub

  function instance() {
    const redis = createRedisResp({ url: redisUrl, onError() {} })
    opened.push(redis)
    const { now, random } = others
    const breakers = createBreakers({ redis, policy, delayMs: 0, clock: Date, now })
    const routes = createModelRoutes({ redis, secrets: createSecrets(secretKey), clock: Date, now })
    const router = createModelRouter({
      redis,
      chat: createChat(options),
      laneOf: createChatLanes(options),
      routes,
      breakers,
      random,
      now,
    })
    return {
      ...{ redis, breakers, routes, router },
      /** Targets by their test's name of the provider. */
      async alias(
        name: string,
        route: Partial<Omit<ModelRoute, 'targets'>> & { targets: Partial<ModelRoute['targets'][0]>[] },
      ) {
        const targets = route.targets.map((target) => ({
          weight: 1,
          ...target,
          model: `${nameOf(target.model!)}/m`,
        }))
        await routes.putAlias(tenant, name, {
          strategy: 'ordered',
          retries: 0,
          stale_if_error_seconds: 0,
          ...route,
          targets,
        })
      },
      ask: async (model: string, more: object = {}) => ask(await router.resolve(tenant, model), more),
    }
  }
}

/** One call to its end: what came, who answered, and the error that ended it. */
async function ask(
  route: Route,
  { signal = new AbortController().signal, ...more }: { signal?: AbortSignal },
) {
  const pieces: string[] = []
  const targets: ChatTarget[] = []
  let error: unknown
  const deferred: Promise<unknown>[] = []
  const request = { model: 'x', messages: [{ role: 'user', content: 'Hi' }], ...more }
  const call = route.call(request, {
    signal,
    defer: (work) => void deferred.push(work),
    onTarget: (target) => void targets.push(target),
  })
  try {
    for await (const piece of call) pieces.push(piece)
  } catch (thrown) {
    error = thrown
  }
  await Promise.all(deferred)
  return {
    pieces,
    error: error as
      | (Error & { code?: string; status?: number; headers?: Record<string, string> })
      | undefined,
    by: targets.map(({ provider }) => provider.split('-')[0]).join(),
  }
}
