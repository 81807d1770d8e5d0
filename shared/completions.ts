import type { Admission, Caller, Claim } from './admission.ts'
import type { Answer } from './answer.ts'
import type { CacheDirectives } from './cache-directives.ts'
import type { CacheRoom } from './cache-room.ts'
import type { Collapse } from './collapse.ts'
import { type CompletionEntry, decodeEntry, encodeEntry, toEntry } from './completion-entry.ts'
import { completionHash } from './completion-hash.ts'
import { HubError, RedisUnavailableError, toHubError } from './errors.ts'
import { COMPLETION_TTL_SECONDS, cacheStatsKey, completionKeys } from './keys.ts'
import type { Meter } from './meter.ts'
import type { ModelRouter, Route } from './model-router.ts'
import { createPatience, type Patience } from './patience.ts'
import type { ChatRequest, ChatTarget } from './ports/chat.ts'
import type { Clock } from './ports/clock.ts'
import type { Redis } from './ports/redis.ts'
import type { PromptReference, Prompts } from './prompts.ts'
import type { Run, SharedCall } from './run.ts'
import { splitReplies, together } from './send.ts'
import type { Tally } from './tally.ts'
import type { Usage } from './usage.ts'

/** As the caller sends it. */
export interface CompletionRequest {
  model: string
  /** May be left out where there is a `prompt`, whose messages go before them. */
  messages?: readonly object[]
  prompt?: PromptReference | null
  stream?: boolean | null
  stream_options?: { include_usage?: boolean } | null
  [field: string]: unknown
}

export interface CompletionCall {
  claim: Claim
  request: CompletionRequest
  directives: CacheDirectives
  /** Keeps the runtime alive for work that the caller does not wait for. */
  defer(work: Promise<unknown>): void
}

export type Completed = {
  /** `Cache-Status` (RFC 9211), and `RateLimit` where the caller has limits. */
  headers: Record<string, string>
} & ({ kind: 'hit'; entry: CompletionEntry; ageSeconds: number } | { kind: 'answer'; answer: Answer })

export interface CompletionsOptions {
  /** State: keys and counters. */
  redis: Redis
  /** Cache: entries and running calls. May be the same port. */
  cacheRedis: Redis
  admission: Admission
  router: ModelRouter
  prompts: Prompts
  collapse: Collapse
  room: CacheRoom
  meter: Meter
  usage: Usage
  tally: Tally
  clock: Clock
  /** 503 while Redis is away, instead of answering past the cache. */
  refuseWhenAway: boolean
}

/** The scope a key needs; also the function's name. */
const SCOPE = 'cache-complete'

/** Completions through the cache: an equal call is answered from Redis, equal running calls share one provider call. */
export function createCompletions(options: CompletionsOptions) {
  const { redis, cacheRedis, admission, router, prompts, collapse, room, meter, usage, tally, clock } =
    options

  return {
    complete,
    /** Of the entry that answers such a request. */
    async hashOf(tenant: string, asked: CompletionRequest): Promise<string> {
      const request = await withPrompt(tenant, asked)
      const { target } = await router.resolve(tenant, request.model)
      return completionHash(target, request)
    },
  }

  async function complete(asked: CompletionCall): Promise<Completed> {
    const { claim, directives, defer } = asked
    const patience = createPatience()
    const tenant = 'caller' in claim ? claim.caller.tenant : claim.key.tenant
    const { request, routing } = await prepare(tenant, asked, patience)
    const { route } = routing
    const keys = completionKeys(tenant, completionHash(route.target, request))
    const question = await admission.ask(claim)

    // The one wave of a hit.
    const [replies, found] = await patience.wait((timeoutMs) =>
      together(
        { redis, calls: [...question.calls, ...routing.calls] },
        { redis: cacheRedis, calls: directives.read ? [['GET', keys.entry]] : [] },
        { timeoutMs },
      ),
    )
    const [ofCaller, ofRoute] = splitReplies(replies, question.calls.length)
    const admitted = await patience.wait((timeoutMs) => question.settle(ofCaller, SCOPE, timeoutMs))
    const { caller } = admitted
    if (routing.settle(ofRoute).target.scope !== route.target.scope) return complete(asked) // it leads elsewhere now
    refuseForeignModel(caller, route)

    const away = found instanceof Error || found[0] instanceof Error
    if (away && options.refuseWhenAway) {
      throw toHubError(found instanceof Error ? found : new RedisUnavailableError())
    }
    const text = away ? undefined : found[0]
    const entry = typeof text === 'string' ? decodeEntry(text) : undefined
    const ageSeconds = entry ? clock.now() / 1000 - entry.timestamp : 0
    const stale = entry !== undefined && ageSeconds >= entry.ttlSeconds
    const old = entry !== undefined && !stale && ageSeconds >= directives.maxAgeSeconds
    if (entry && !stale && !old) return hit(entry)
    if (directives.onlyIfCached) throw notCached()

    const call = callOf()
    if (!directives.read || old) {
      const run = collapse.alone(call, patience, directives.write ? keys : undefined)
      return answered(run, 'misses', directives.write ? 'fwd=request; stored' : 'fwd=request')
    }
    const joined = await collapse.join(keys, call, patience, {
      away,
      stale: stale ? String(text) : undefined,
    })
    if (joined.kind === 'hit') {
      const stored = decodeEntry(joined.entry)
      return stored
        ? hit(stored)
        : answered(collapse.alone(call, patience, keys), 'misses', 'fwd=miss; stored')
    }
    const { run } = joined
    if (entry && stale) {
      const failure = await run.answer.started
      if (failure && failure.status >= 500) return hit(entry, 'stale-if-error')
    }
    if (joined.collapsed) {
      recordUse(route.name)
      return answered(run, 'collapsed', 'fwd=miss; collapsed')
    }
    if (!joined.shared) return answered(run, 'bypassed', 'fwd=bypass')
    defer(room.look())
    return answered(run, 'misses', room.free() ? 'fwd=miss; stored' : 'fwd=miss')

    function hit(entry: CompletionEntry, detail = 'exact'): Completed {
      count('hits', entry.tokens)
      recordUse(entry.model, entry.cost)
      const ageSeconds = Math.max(0, Math.floor(clock.now() / 1000) - entry.timestamp)
      const ttl = entry.ttlSeconds - ageSeconds
      return { kind: 'hit', entry, ageSeconds, headers: headersOf(`hit; ttl=${ttl}; detail=${detail}`) }
    }

    function answered({ answer, done }: Run, verdict: Verdict, status: string): Completed {
      defer(done)
      count(verdict)
      return { kind: 'answer', answer, headers: headersOf(status) }
    }

    function headersOf(status: string) {
      return { ...admitted.headers, 'Cache-Status': `${NAME}; ${status}` }
    }

    function count(verdict: Verdict, savedTokens = 0) {
      const saved = savedTokens > 0 ? { saved_tokens: savedTokens } : undefined
      deferMaybe(tally.add(cacheStatsKey(tenant), { [verdict]: 1, ...saved }))
    }

    /** Of who did not call the provider; the meter records the others. */
    function recordUse(model: string, saved?: number) {
      deferMaybe(usage.record({ tenant, model, keyId: caller.keyId, saved }))
    }

    function deferMaybe(work: Promise<void> | undefined) {
      if (work) defer(work)
    }

    function callOf(): SharedCall {
      let answeredBy = route.target
      const onTarget = (target: ChatTarget) => {
        answeredBy = target
      }
      const { hold, open } = meter({
        ...{ caller, request, defer },
        target: route.target,
        answeredBy: () => answeredBy,
        open: (signal) => route.call(request, { signal, defer, onTarget }),
      })
      return {
        form: request.stream ? 'chunk' : 'completion',
        hold,
        open,
        store(response) {
          if (!directives.write || !room.free()) return undefined
          // Entries of one moment do not all expire in one moment.
          const ttlSeconds =
            directives.ttlSeconds ?? Math.round(COMPLETION_TTL_SECONDS * (1 - Math.random() * 0.1))
          const entry = toEntry(answeredBy, response, clock.now(), ttlSeconds)
          return { entry: encodeEntry(entry), ttlMs: (ttlSeconds + route.staleIfErrorSeconds) * 1000 }
        },
      }
    }
  }

  /** A stranger learns nothing about prompts and models: the key is checked before the error is told. */
  async function prepare(tenant: string, { claim, request: asked }: CompletionCall, patience: Patience) {
    try {
      const request = await withPrompt(tenant, asked, patience)
      return { request, routing: await router.ask(tenant, request.model) }
    } catch (error) {
      await admission.admit(claim, SCOPE)
      throw error
    }
  }

  /** The prompt's messages go before the caller's own. */
  async function withPrompt(
    tenant: string,
    asked: CompletionRequest,
    patience?: Patience,
  ): Promise<ChatRequest> {
    const { prompt, messages = [], ...rest } = asked
    const { model } = rest
    if (!prompt) return { ...rest, model, messages }
    const expanded = await prompts.expand(tenant, prompt, patience)
    return { ...rest, model, messages: [...expanded.messages, ...messages] }
  }
}

export type Completions = ReturnType<typeof createCompletions>

const NAME = 'redis-ai-hub'

type Verdict = 'hits' | 'misses' | 'collapsed' | 'bypassed'

/** An alias may be named itself, or all that it leads to. */
function refuseForeignModel({ models: allowed }: Caller, { name, models }: Route) {
  if (!allowed || allowed.includes(name) || models.every((model) => allowed.includes(model))) return
  const message = `This key may not use ${name}. It may use: ${allowed.join(', ')}.`
  throw new HubError({ code: 'model_not_allowed', status: 403, message, param: 'model' })
}

const notCached = () =>
  new HubError({
    code: 'not_cached',
    status: 504,
    message: 'No stored answer, and `Cache-Control: only-if-cached` asks for none but that.',
    headers: { 'Cache-Status': `${NAME}; fwd=miss` },
  })
