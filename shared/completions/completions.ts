import type { Claim } from '../admission.ts'
import type { CacheRoom } from '../cache-room.ts'
import { HubError, RedisUnavailableError, toHubError } from '../errors.ts'
import { COMPLETION_TTL_SECONDS, cacheStatsKey } from '../keys.ts'
import type { Meter, Settled } from '../metering/meter.ts'
import type { Tally } from '../metering/tally.ts'
import type { Usage } from '../metering/usage.ts'
import type { ChatTarget } from '../ports/chat.ts'
import type { Clock } from '../ports/clock.ts'
import type { SemanticCache } from '../semantic/semantic-cache.ts'
import { isYes, judgeRequest } from '../semantic/semantic-judge.ts'
import { type SemanticQuestion, semanticQuestion } from '../semantic/semantic-question.ts'
import type { Answer } from './answer.ts'
import { type CacheDirectives, readCacheDirectives } from './cache-directives.ts'
import type { Collapse } from './collapse.ts'
import { type CompletionEntry, decodeEntry, encodeEntry, toEntry } from './completion-entry.ts'
import type { CompletionRequest, Look, Looked } from './completion-look.ts'
import type { CompletionRecord, Endpoint, Observe, Verdict } from './completion-record.ts'
import { createPatience } from './patience.ts'
import { readCompleted } from './read-completed.ts'
import type { Run, SharedCall } from './run.ts'

export interface CompletionCall {
  claim: Claim
  request: CompletionRequest
  directives: CacheDirectives
  /** Keeps the runtime alive for work that the caller does not wait for. */
  defer(work: Promise<unknown>): void
  /** For the record. */
  endpoint: Endpoint
  requestId?: string
}

export type Completed = {
  /** `Cache-Status` (RFC 9211), and `RateLimit` where the caller has limits. */
  headers: Record<string, string>
} & ({ kind: 'hit'; entry: CompletionEntry; ageSeconds: number } | { kind: 'answer'; answer: Answer })

export interface CompletionsOptions {
  look: Look['look']
  collapse: Collapse
  room: CacheRoom
  meter: Meter
  usage: Usage
  tally: Tally
  clock: Clock
  /** For calls that ask for it. */
  semantic: {
    cache: SemanticCache
    /** Hotter calls want another answer each time. */
    maxTemperature: number
    /** Decides where the guard is not sure. */
    judgeModel?: string
  }
  observe?: Observe
  /** 503 while Redis is away, instead of answering past the cache. */
  refuseWhenAway: boolean
}

type Counter = 'hits' | 'misses' | 'collapsed' | 'bypassed'

/** A completion's record, which is filled while it runs. */
type Begun = CompletionRecord & {
  /** `performance.now()` */
  since: number
}
type End = Partial<
  Pick<CompletionRecord, 'status' | 'errorCode' | 'tokens' | 'cost' | 'saved' | 'savedTokens'>
>

const NAME = 'redis-ai-hub'

/** What a judge may take; after it the call goes on as a miss. */
const JUDGE_MS = 5_000

/** Completions through the cache: an equal call is answered from Redis, equal running calls share one provider call. */
export function createCompletions(options: CompletionsOptions) {
  const { look, collapse, room, meter, usage, tally, clock, semantic, observe } = options

  return complete

  async function complete(asked: CompletionCall): Promise<Completed> {
    const begun = begin(asked)
    try {
      return await answer(asked, begun)
    } catch (error) {
      const { status, code } = toHubError(error)
      if (status !== 401) finish(begun, asked.defer, { status, errorCode: code })
      throw error
    }
  }

  function begin({ claim, request, directives, endpoint, requestId }: CompletionCall): Begun {
    const { tenant, keyId } =
      'caller' in claim ? claim.caller : { tenant: claim.key.tenant, keyId: claim.key.id }
    return {
      ...{ tenant, keyId, requestId, endpoint, request, model: request.model },
      streamed: request.stream === true,
      contentRefused: directives.unlogged === true,
      verdict: 'none',
      startedAt: clock.now(),
      since: performance.now(),
      ...{ totalMs: 0, status: 200, cost: 0, saved: 0, savedTokens: 0 },
    }
  }

  function finish(begun: Begun, defer: CompletionCall['defer'], end: End) {
    begun.totalMs = performance.now() - begun.since
    const work = observe?.(Object.assign(begun, end))
    if (work) defer(work)
  }

  async function answer(asked: CompletionCall, begun: Begun): Promise<Completed> {
    const { directives, defer } = asked
    const patience = createPatience()
    const looked = await look(asked, patience)
    const { tenant, caller, keys, route, found } = looked
    begun.target = `${route.target.provider}/${route.target.model}`

    const away = found instanceof Error
    if (away && options.refuseWhenAway) {
      throw toHubError(
        found instanceof RedisUnavailableError ? found : new RedisUnavailableError(found.message),
      )
    }
    const entry = typeof found === 'string' ? decodeEntry(found) : undefined
    const age = entry ? clock.now() / 1000 - entry.timestamp : 0
    const stale = entry !== undefined && age >= entry.ttlSeconds
    const old = entry !== undefined && !stale && age >= directives.maxAgeSeconds
    if (entry && !stale && !old) return hit(entry)
    let storedUntil: number | undefined
    const question = away ? undefined : questionOf(looked)
    if (question && directives.read) {
      const near = await semantic.cache.find({
        ...{ question, caller, defer },
        similarity: directives.semantic!,
        accepts: (entry) =>
          clock.now() / 1000 - entry.timestamp < Math.min(entry.ttlSeconds, directives.maxAgeSeconds),
        ask: semantic.judgeModel ? ask : undefined,
      })
      if (near) return hit(near.entry, `semantic;similarity=${near.similarity.toFixed(3)}`)
    }
    if (directives.onlyIfCached) throw notCached()

    const { call, settled } = callOf(looked)
    if (!directives.read || old) {
      const run = collapse.alone(call, patience, directives.write ? keys : undefined)
      const status = directives.write ? 'fwd=request; stored' : 'fwd=request'
      return answered(run, 'misses', status, 'request')
    }
    const joined = await collapse.join(keys, call, patience, {
      away,
      stale: stale && typeof found === 'string' ? found : undefined,
    })
    if (joined.kind === 'hit') {
      const stored = decodeEntry(joined.entry)
      if (stored) return hit(stored)
      return answered(collapse.alone(call, patience, keys), 'misses', 'fwd=miss; stored', 'miss')
    }
    const { run } = joined
    if (entry && stale) {
      const failure = await run.answer.started
      if (failure && failure.status >= 500) return hit(entry, 'stale-if-error')
    }
    if (joined.collapsed) {
      return answered(run, 'collapsed', 'fwd=miss; collapsed', 'collapsed')
    }
    if (!joined.shared) return answered(run, 'bypassed', 'fwd=bypass', 'bypass')
    defer(room.look())
    return answered(run, 'misses', room.free() ? 'fwd=miss; stored' : 'fwd=miss', 'miss')

    function hit(entry: CompletionEntry, detail = 'exact'): Completed {
      count('hits', entry.tokens)
      recordUse(entry.model, entry.cost)
      const ageSeconds = Math.max(0, Math.floor(clock.now() / 1000) - entry.timestamp)
      const ttl = entry.ttlSeconds - ageSeconds
      begun.verdict = detail === 'exact' ? 'exact' : detail === 'stale-if-error' ? 'stale' : 'semantic'
      begun.target = entry.model
      begun.response = entry.response
      begun.firstMs = performance.now() - begun.since
      finish(begun, defer, { saved: entry.cost, savedTokens: entry.tokens })
      return { kind: 'hit', entry, ageSeconds, headers: headersOf(`hit; ttl=${ttl}; detail=${detail}`) }
    }

    function answered(run: Run, counter: Counter, status: string, verdict: Verdict): Completed {
      const { answer, done } = run
      defer(question ? done.then(() => remember(question)) : done)
      count(counter)
      begun.verdict = verdict
      if (observe || counter === 'collapsed') defer(watch(run, counter))
      return { kind: 'answer', answer, headers: headersOf(status) }
    }

    async function watch(run: Run, counter: Counter) {
      const { started, over } = run.answer
      void started.then((failure) => {
        if (!failure) begun.firstMs = performance.now() - begun.since
      })
      const failure = await over
      const end = failure && { status: failure.status, errorCode: failure.code }
      const own = settled()
      if (own || counter !== 'collapsed') return finish(begun, defer, { ...end, ...(await own) })
      const { model = route.name, tokens = 0, cost = 0 } = run.paid ?? {}
      recordUse(model, cost)
      if (tokens > 0) deferMaybe(tally.add(cacheStatsKey(tenant), [['saved_tokens', tokens]]))
      if (run.paid) begun.target = model
      finish(begun, defer, { ...end, saved: cost, savedTokens: tokens })
    }

    function questionOf({ request }: Looked): SemanticQuestion | undefined {
      if (directives.semantic === undefined) return undefined
      return semanticQuestion(route.target, request, semantic.maxTemperature)
    }

    /** Once the answer is stored, others who ask the same may have it. */
    async function remember(question: SemanticQuestion) {
      if (storedUntil)
        await semantic.cache.add(question, { hash: keys.hash, until: storedUntil }, caller, defer)
    }

    /** Whether the answer to one prompt serves the other, by a model; its answers are cached as any. */
    async function ask(first: string, second: string): Promise<boolean> {
      const { claim } = asked
      const request = judgeRequest(semantic.judgeModel!, first, second)
      const completed = await complete({
        ...{ claim, request, defer, endpoint: 'judge', requestId: asked.requestId },
        directives: { ...readCacheDirectives(() => undefined), unlogged: directives.unlogged },
      })
      return isYes(await readCompleted(completed, AbortSignal.timeout(JUDGE_MS)))
    }

    function headersOf(status: string) {
      return { ...looked.headers, 'Cache-Status': `${NAME}; ${status}` }
    }

    function count(counter: Counter, savedTokens = 0) {
      const counts: [string, number][] = [[counter, 1]]
      if (savedTokens > 0) counts.push(['saved_tokens', savedTokens])
      deferMaybe(tally.add(cacheStatsKey(tenant), counts))
    }

    /** Of who did not call the provider; the meter records the others. */
    function recordUse(model: string, saved?: number) {
      deferMaybe(usage.record({ tenant, model, keyId: caller.keyId, saved }))
    }

    function deferMaybe(work: Promise<void> | undefined) {
      if (work) defer(work)
    }

    function callOf({ request }: Looked): { call: SharedCall; settled(): Promise<Settled> | undefined } {
      let answeredBy = route.target
      const onTarget = (target: ChatTarget) => {
        answeredBy = target
        begun.target = `${target.provider}/${target.model}`
      }
      const metered = meter({
        ...{ caller, request, defer, target: route.target },
        answeredBy: () => answeredBy,
        open: (signal) => route.call(request, { signal, defer, onTarget }),
      })
      const call: SharedCall = {
        ...{ hold: metered.hold, open: metered.open },
        form: request.stream ? 'chunk' : 'completion',
        end(response) {
          begun.response = response
          // Entries of one moment do not all expire in one moment.
          const jittered = () => Math.round(COMPLETION_TTL_SECONDS * (1 - Math.random() * 0.1))
          const ttlSeconds = directives.ttlSeconds ?? jittered()
          const entry = toEntry(answeredBy, response, clock.now(), ttlSeconds)
          const { model, tokens, cost } = entry
          const paid = { model, tokens, cost }
          if (!directives.write || !room.free()) return { paid }
          storedUntil = clock.now() + ttlSeconds * 1000
          const ttlMs = (ttlSeconds + route.staleIfErrorSeconds) * 1000
          return { paid, stored: { entry: encodeEntry(entry), ttlMs } }
        },
      }
      return { call, settled: () => metered.settled }
    }
  }
}

export type Completions = ReturnType<typeof createCompletions>

const notCached = () =>
  new HubError({
    code: 'not_cached',
    status: 504,
    type: 'cache_miss', // what the caller asked for: nothing failed
    message: 'No stored answer, and `Cache-Control: only-if-cached` asks for none but that.',
    headers: { 'Cache-Status': `${NAME}; fwd=miss` },
  })
