import { createHash } from 'node:crypto'
import { HubError } from '../errors.ts'
import { DEFAULT_TENANT } from '../keys.ts'
import type { Chat, ChatRequest, ChatTarget, Price } from '../ports/chat.ts'
import type { Command, Redis, ScriptCall } from '../ports/redis.ts'
import type { Replies } from '../send.ts'
import type { BreakerName } from './breaker-memory.ts'
import type { Breakers } from './breakers.ts'
import type { Credential, ModelRoute, ModelRoutes, ModelRouteTarget, Snapshot } from './model-routes.ts'
import { type Lane, type RouteCallOptions, type RoutedTarget, routedCall } from './routed-chat.ts'

/** Where a model's name leads for a tenant. */
export interface Route {
  /** The alias, or `provider/model`. */
  name: string
  /** Every `provider/model` that may answer. */
  models: readonly string[]
  /** What the cache sees: an alias is `alias/<name>`, and its scope changes with its definition. The price is the highest. */
  target: ChatTarget
  /** For so long after it went stale an entry may stand in for a provider that fails. */
  staleIfErrorSeconds: number
  /** As `Chat.call`, over retries, fallbacks, timeouts and breakers. */
  call(request: ChatRequest, options: RouteCallOptions): AsyncIterable<string>
}

/** Where a name leads, and what to ask about it in the request's own wave. */
export interface RouteQuestion {
  /** By what is known here. */
  route: Route
  /** Nothing while it was asked within half a second. */
  calls: (Command | ScriptCall)[]
  /** Reads the replies to `calls`: the route as it is now, the same object where nothing has changed. */
  settle(replies: Replies): Route
}

/** A route, and when its breakers were looked at. */
interface Known {
  route: Route
  breakers: BreakerName[]
  lookedAt: number
}

export interface ModelRouterOptions {
  redis: Redis
  chat: Chat
  /** A provider with a credential of the tenant's, or a bound on connecting. */
  laneOf(lane: { provider: string; apiKey?: string; keyName?: string; connectMs?: number }): Chat
  routes: ModelRoutes
  breakers: Breakers
  /** 0 up to 1. */
  random?: () => number
  /** Monotonic milliseconds. */
  now?: () => number
}

/** Younger knowledge of breakers is not asked for again. */
const LOOK_MS = 500
const LARGEST = 1_000

/** Aliases before providers: which models answer to a name, with whose credentials. */
export function createModelRouter(options: ModelRouterOptions) {
  const {
    redis,
    chat,
    laneOf,
    routes,
    breakers,
    random = Math.random,
    now = () => performance.now(),
  } = options
  /** Made once for each state of a tenant. */
  const made = new WeakMap<Snapshot, Map<string, Known>>()

  const router = {
    /**
     * Redis is asked at once only where nothing that is known answers to the name.
     *
     * Errors: those of `Chat.resolve`; `credential_not_found` (404), `credential_unreadable` (503).
     */
    async ask(tenant: string, model: string): Promise<RouteQuestion> {
      const found = await find(tenant, model)
      const calls = routes.calls(tenant)
      const look = now() - found.lookedAt < LOOK_MS ? undefined : breakers.look(found.breakers)
      if (look) found.lookedAt = now()
      return {
        route: found.route,
        calls: look ? [...calls, ...look.calls] : calls,
        settle(replies) {
          const away = replies instanceof Error
          routes.settle(tenant, away ? replies : replies.slice(0, calls.length))
          look?.settle(away ? replies : replies.slice(calls.length))
          return known(tenant, model).route
        },
      }
    },

    /** The route, after a wave of its own where what is known is old: for what is not hot. */
    async resolve(tenant: string, model: string): Promise<Route> {
      const { route, calls, settle } = await router.ask(tenant, model)
      if (calls.length === 0) return route
      return settle(await redis.wave(calls).catch((away: Error) => away))
    },

    /** What a tenant can call: models with a stated price, and its aliases. */
    async models(tenant: string): Promise<ReturnType<Chat['models']>> {
      await routes.load(tenant).catch(() => {}) // what is known goes on
      const { aliases, credentials } = routes.snapshot(tenant)
      const own = credentials.flatMap(({ provider }) => laneOf({ provider, apiKey: 'any' }).models())
      const named = [...aliases.keys()].flatMap((name) => {
        try {
          return [{ id: name, provider: 'alias', price: known(tenant, name).route.target.price }]
        } catch {
          return [] // none of its targets can be called now
        }
      })
      return [...new Map([...chat.models(), ...own, ...named].map((model) => [model.id, model])).values()]
    },

    /** Throws 400 where a provider is not known or takes no credential. */
    validateProvider(provider: string) {
      try {
        if (laneOf({ provider, apiKey: 'any' }) !== laneOf({ provider })) return
      } catch (error) {
        if (error instanceof HubError)
          throw new HubError({ ...error.options, status: 400, param: 'provider' })
        throw error
      }
      const message = `${provider} takes no credential.`
      throw new HubError({ code: 'invalid_value', status: 400, message, param: 'provider' })
    },

    /** Throws what keeps the definition from working, with the `param` at fault. */
    async validate(tenant: string, route: ModelRoute) {
      await routes.load(tenant)
      for (const [i, target] of route.targets.entries()) {
        try {
          if (!target.model.includes('/')) throw noProvider(target.model)
          lanesOf(tenant, routes.snapshot(tenant), target)
        } catch (error) {
          if (!(error instanceof HubError)) throw error
          const field = error.code === 'credential_not_found' ? 'credential' : 'model'
          throw new HubError({ ...error.options, status: 400, param: `targets[${i}].${field}` })
        }
      }
    },
  }
  return router

  async function find(tenant: string, model: string): Promise<Known> {
    try {
      return known(tenant, model)
    } catch (error) {
      const calls = routes.calls(tenant)
      if (calls.length === 0) throw error
      routes.settle(tenant, await redis.wave(calls).catch((away: Error) => away))
      return known(tenant, model)
    }
  }

  function known(tenant: string, model: string): Known {
    const snapshot = routes.snapshot(tenant)
    const ofSnapshot = made.get(snapshot) ?? new Map<string, Known>()
    const before = ofSnapshot.get(model)
    if (before) return before
    if (ofSnapshot.size >= LARGEST) ofSnapshot.clear() // callers choose the names
    made.set(snapshot, ofSnapshot)
    const alias = snapshot.aliases.get(model)
    const one = alias ? aliasRoute(tenant, snapshot, model, alias) : plainRoute(tenant, snapshot, model)
    ofSnapshot.set(model, one)
    return one
  }

  function plainRoute(tenant: string, snapshot: Snapshot, model: string) {
    const full = model.includes('/') ? model : idOf(chat.resolve(model))
    const lanes = lanesOf(tenant, snapshot, { model: full })
    return toRoute([{ lanes, weight: 1 }], {
      name: idOf(lanes[0]!.target),
      target: { ...lanes[0]!.target, scope: scopeOf(lanes) },
      retries: 0,
    })
  }

  function aliasRoute(tenant: string, snapshot: Snapshot, name: string, alias: ModelRoute) {
    let failure: unknown
    const targets = alias.targets.flatMap((target): RoutedTarget[] => {
      try {
        const { weight, timeouts } = target
        return [{ lanes: lanesOf(tenant, snapshot, target), weight, timeouts }]
      } catch (error) {
        failure ??= error
        return [] // the others go on
      }
    })
    if (targets.length === 0) throw failure
    const { strategy, retries, stale_if_error_seconds } = alias
    const identity = targets.map(({ lanes, weight }) => [idOf(lanes[0]!.target), scopeOf(lanes), weight])
    const scope = fingerprint(JSON.stringify([strategy, stale_if_error_seconds, identity]))
    const price = highest(targets.map(({ lanes }) => lanes[0]!.target.price))
    return toRoute(targets, {
      ...{ name, strategy, retries, staleIfErrorSeconds: stale_if_error_seconds },
      target: { provider: 'alias', model: name, scope, price },
    })
  }

  function toRoute(
    targets: RoutedTarget[],
    definition: Pick<Route, 'name' | 'target'> &
      Pick<ModelRoute, 'retries'> &
      Partial<Pick<ModelRoute, 'strategy'> & Pick<Route, 'staleIfErrorSeconds'>>,
  ): Known {
    const { name, target, retries, strategy = 'ordered', staleIfErrorSeconds = 0 } = definition
    const plan = { name, targets, strategy, retries }
    const route: Route = {
      ...{ name, target, staleIfErrorSeconds },
      models: targets.map(({ lanes }) => idOf(lanes[0]!.target)),
      call: (request, options) => routedCall(plan, request, options, { breakers, random }),
    }
    const names = targets.flatMap(({ lanes }) => lanes.map(({ breaker }) => breaker))
    return { route, breakers: names, lookedAt: Number.NEGATIVE_INFINITY }
  }

  /** The tenant's own credentials go before the environment's, which never steps in for them: whose bill it is stays clear. */
  function lanesOf(
    tenant: string,
    { credentials }: Snapshot,
    { model: id, credential, timeouts }: Pick<ModelRouteTarget, 'model' | 'credential' | 'timeouts'>,
  ): Lane[] {
    const provider = id.slice(0, id.indexOf('/'))
    const model = id.slice(provider.length + 1)
    const connectMs = timeouts?.connect_ms
    const own = credentials.filter(
      (one) => one.provider === provider && (!credential || one.id === credential),
    )
    if (own.length === 0) {
      if (credential) throw credentialNotFound(provider, credential)
      const lane = connectMs === undefined ? chat : laneOf({ provider, connectMs })
      const target = lane === chat ? chat.resolve(id) : lane.resolve(model)
      return [{ chat: lane, target, breaker: { tenant: DEFAULT_TENANT, name: id } }]
    }
    return own.map((one) => {
      const keyName = `the tenant's credential ${provider}/${one.id}`
      const lane = laneOf({ provider, apiKey: readable(one), keyName, connectMs })
      const breaker = { tenant, name: `${id}#${one.id}` }
      return { chat: lane, target: lane.resolve(model), breaker }
    })
  }
}

export type ModelRouter = ReturnType<typeof createModelRouter>

const idOf = ({ provider, model }: ChatTarget) => `${provider}/${model}`

const scopeOf = (lanes: Lane[]) =>
  lanes.length === 1
    ? lanes[0]!.target.scope
    : fingerprint(lanes.map(({ target }) => target.scope).join('\n'))

const fingerprint = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 16)

/** Of every part; nothing where one price is not known. */
function highest(prices: (Price | undefined)[]): Price | undefined {
  const all = prices.filter((price) => price !== undefined)
  if (all.length < prices.length) return undefined
  const most = (part: keyof Price) => Math.max(...all.map((price) => price[part] ?? price.input))
  return {
    input: most('input'),
    cached: most('cached'),
    output: most('output'),
    cache_write: most('cache_write'),
  }
}

function readable({ provider, id, apiKey }: Credential): string {
  if (apiKey !== undefined) return apiKey
  const message = `The credential ${provider}/${id} cannot be opened: HUB_SECRET_KEY is not the one that sealed it. Store it again.`
  throw new HubError({ code: 'credential_unreadable', status: 503, message })
}

function credentialNotFound(provider: string, id: string) {
  const message = `There is no credential ${provider}/${id}: PUT /v1/credentials/${provider}/${id} makes it.`
  return new HubError({ code: 'credential_not_found', status: 404, message, param: 'credential' })
}

function noProvider(model: string) {
  const message = `"${model}" names no provider: write provider/model. An alias leads to models, not to aliases.`
  return new HubError({ code: 'provider_not_found', status: 400, message })
}
