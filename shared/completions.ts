import type { Admission, Caller, Claim } from './admission.ts'
import type { Answer } from './answer.ts'
import type { CacheDirectives } from './cache-directives.ts'
import type { CacheRoom } from './cache-room.ts'
import type { Collapse } from './collapse.ts'
import { type CompletionEntry, decodeEntry, encodeEntry, toEntry } from './completion-entry.ts'
import { completionHash } from './completion-hash.ts'
import { HubError, RedisUnavailableError, toHubError } from './errors.ts'
import { COMPLETION_TTL_SECONDS, cacheStatsKey, completionKeys } from './keys.ts'
import { createPatience } from './patience.ts'
import type { Chat, ChatRequest, ChatTarget } from './ports/chat.ts'
import type { Clock } from './ports/clock.ts'
import type { Redis } from './ports/redis.ts'
import type { SharedCall } from './run.ts'
import { together } from './send.ts'
import type { Tally } from './tally.ts'

export interface CompletionCall {
  claim: Claim
  request: ChatRequest
  directives: CacheDirectives
  /** Keeps the runtime alive for work that the caller does not wait for. */
  defer(work: Promise<unknown>): void
}

export type Completed = {
  /** RFC 9211 */
  cacheStatus: string
} & ({ kind: 'hit'; entry: CompletionEntry; ageSeconds: number } | { kind: 'answer'; answer: Answer })

export interface CompletionsOptions {
  /** State: keys and counters. */
  redis: Redis
  /** Cache: entries and running calls. May be the same port. */
  cacheRedis: Redis
  admission: Admission
  chat: Chat
  collapse: Collapse
  room: CacheRoom
  tally: Tally
  clock: Clock
  /** 503 while Redis is away, instead of answering past the cache. */
  refuseWhenAway: boolean
}

/** The scope a key needs; also the function's name. */
const SCOPE = 'cache-complete'

/** Completions through the cache: an equal call is answered from Redis, equal running calls share one provider call. */
export function createCompletions(options: CompletionsOptions) {
  const { redis, cacheRedis, admission, chat, collapse, room, tally, clock, refuseWhenAway } = options

  return async function complete({ claim, request, directives, defer }: CompletionCall): Promise<Completed> {
    const patience = createPatience()
    const target = await resolve(claim, request.model)
    const hash = completionHash(target, request)
    const tenant = 'caller' in claim ? claim.caller.tenant : claim.key.tenant
    const keys = completionKeys(tenant, hash)

    // The one wave of a hit.
    const [record, found] = await patience.wait((timeoutMs) =>
      together(
        { redis, calls: admission.calls(claim) },
        { redis: cacheRedis, calls: directives.read ? [['GET', keys.entry]] : [] },
        { timeoutMs },
      ),
    )
    const caller = admission.settle(claim, record, SCOPE)
    refuseForeignModel(caller, target)

    const count = (verdict: 'hits' | 'misses' | 'collapsed' | 'bypassed', savedTokens = 0) => {
      const work = tally.add(cacheStatsKey(tenant), {
        [verdict]: 1,
        ...(savedTokens && { saved_tokens: savedTokens }),
      })
      if (work) defer(work)
    }
    const hit = (entry: CompletionEntry): Completed => {
      count('hits', entry.tokens)
      const ageSeconds = Math.max(0, Math.floor(clock.now() / 1000) - entry.timestamp)
      const ttl = entry.ttlSeconds - ageSeconds
      return { kind: 'hit', entry, ageSeconds, cacheStatus: `${NAME}; hit; ttl=${ttl}; detail=exact` }
    }
    const answered = (
      answer: Answer,
      done: Promise<void>,
      verdict: 'misses' | 'collapsed' | 'bypassed',
      status: string,
    ) => {
      defer(done)
      count(verdict)
      return { kind: 'answer' as const, answer, cacheStatus: `${NAME}; ${status}` }
    }

    const away = found instanceof Error || found[0] instanceof Error
    if (away && refuseWhenAway) throw toHubError(found instanceof Error ? found : new RedisUnavailableError())
    const text = away ? undefined : found[0]
    const entry = typeof text === 'string' ? decodeEntry(text) : undefined
    const old = entry !== undefined && clock.now() / 1000 - entry.timestamp >= directives.maxAgeSeconds
    if (entry && !old) return hit(entry)
    if (directives.onlyIfCached) throw notCached()

    const call = callOf(target, request, directives)
    if (!directives.read || old) {
      const run = collapse.alone(call, patience, directives.write ? keys : undefined)
      return answered(
        run.answer,
        run.done,
        'misses',
        directives.write ? 'fwd=request; stored' : 'fwd=request',
      )
    }
    const joined = await collapse.join(keys, call, patience, away)
    if (joined.kind === 'hit') {
      const stored = decodeEntry(joined.entry)
      if (stored) return hit(stored)
      const run = collapse.alone(call, patience, keys)
      return answered(run.answer, run.done, 'misses', 'fwd=miss; stored')
    }
    const { answer, done } = joined.run
    if (joined.collapsed) return answered(answer, done, 'collapsed', 'fwd=miss; collapsed')
    if (!joined.shared) return answered(answer, done, 'bypassed', 'fwd=bypass')
    defer(room.look())
    return answered(answer, done, 'misses', room.free() ? 'fwd=miss; stored' : 'fwd=miss')
  }

  /** A stranger learns nothing about models: the key is checked before the error is told. */
  async function resolve(claim: Claim, model: string): Promise<ChatTarget> {
    try {
      return chat.resolve(model)
    } catch (error) {
      await admission.admit(claim, SCOPE)
      throw error
    }
  }

  function callOf(target: ChatTarget, request: ChatRequest, directives: CacheDirectives): SharedCall {
    return {
      form: request.stream ? 'chunk' : 'completion',
      open: (signal) => chat.call(target, request, { signal }),
      store(response) {
        if (!directives.write || !room.free()) return undefined
        // Entries of one moment do not all expire in one moment.
        const ttlSeconds =
          directives.ttlSeconds ?? Math.round(COMPLETION_TTL_SECONDS * (1 - Math.random() * 0.1))
        return {
          entry: encodeEntry(toEntry(target, response, clock.now(), ttlSeconds)),
          ttlMs: ttlSeconds * 1000,
        }
      },
    }
  }
}

export type Completions = ReturnType<typeof createCompletions>

const NAME = 'redis-ai-hub'

function refuseForeignModel({ models }: Caller, { provider, model }: ChatTarget) {
  if (!models || models.includes(`${provider}/${model}`)) return
  const message = `This key may not use ${provider}/${model}. It may use: ${models.join(', ')}.`
  throw new HubError({ code: 'model_not_allowed', status: 403, message, param: 'model' })
}

const notCached = () =>
  new HubError({
    code: 'not_cached',
    status: 504,
    message: 'No stored answer, and `Cache-Control: only-if-cached` asks for none but that.',
    headers: { 'Cache-Status': `${NAME}; fwd=miss` },
  })
