import { HubRequestError } from './hub-request-error.ts'
import { type Request, readJson, type Send } from './request.ts'

export interface GuardSettings {
  signal?: AbortSignal
  /** Whether an error is the target's failure; else it counts as an answer. By default every one, but for the signal's abort. */
  isFailure?: (error: unknown) => boolean
}

type State = 'closed' | 'open' | 'half-open'
interface Reply {
  state: State
  seconds_left: number | null
}
interface Permit extends Reply {
  admitted: boolean
  permit: string | null
}
type Outcome = 'success' | 'failure' | 'released'

/** What this process knows of a breaker. */
interface Known {
  state: State
  /** When to ask again: monotonic milliseconds. */
  until: number
  /** Calls that ended well and are not told yet. */
  successes: number
  telling: boolean
  /** Numbers of the last question, and of the last whose answer was taken: a late answer is an old one. */
  asked: number
  answered: number
}

const NEW: Known = { state: 'closed', until: 0, successes: 0, telling: false, asked: 0, answered: 0 }
/** What was heard of a breaker is believed for so long, and its successes are told twice within it. */
const FRESH_S = 1
const FRESH_MS = FRESH_S * 1_000
/** Of an open one, which somebody may close by hand. */
const LONGEST_S = 10
const SLOW_MS = 1_000

/**
 * Breakers that all processes share: the hub decides, this process remembers what it said. While the hub does not answer, calls go
 * out: a hub that is away must stop no one.
 */
export function createGuard(send: Send) {
  const known = new Map<string, Known>()
  const untold = new Set<Promise<void>>()

  return {
    /**
     * Calls the target, unless its breaker is open: then it throws `breaker_open` at once. Of a half-open one, a single call of all
     * processes goes out.
     */
    async guarded<T>(name: string, call: () => Promise<T>, settings: GuardSettings = {}): Promise<T> {
      const breaker = known.get(name) ?? { ...NEW }
      known.set(name, breaker)
      const permit = await admit(name, breaker)
      const end = (outcome: Outcome) => track(tell(name, breaker, outcome, permit))
      try {
        const result = await call()
        end('success')
        return result
      } catch (error) {
        const isFailure = settings.isFailure ?? (() => true)
        end(settings.signal?.aborted ? 'released' : isFailure(error) ? 'failure' : 'success')
        throw error
      }
    },

    /** Resolves when the hub was told of every call that ended. */
    async settled() {
      while (untold.size > 0) await Promise.all(untold)
    },
  }

  /** Throws `breaker_open`. The permit is that of a probe. */
  async function admit(name: string, breaker: Known): Promise<string | undefined> {
    const left = breaker.until - performance.now()
    if (left > 0 && breaker.state === 'closed') return undefined
    if (left > 0) throw isOpen(name, left)
    const number = ++breaker.asked
    const request: Request = { path: { name }, timeoutMs: SLOW_MS, retries: 0 }
    const reply = await send('POST /v1/app-breakers/{name}/permits', request, readJson<Permit>).catch(away)
    if (!reply) {
      Object.assign(breaker, { state: 'closed', until: performance.now() + FRESH_MS })
      return undefined
    }
    if (reply.permit !== null) {
      // Until it ended, others of this process need not ask.
      Object.assign(breaker, { state: 'half-open', until: performance.now() + FRESH_MS })
      return reply.permit
    }
    adopt(breaker, number, reply)
    if (!reply.admitted) throw isOpen(name, breaker.until - performance.now())
    return undefined
  }

  async function tell(name: string, breaker: Known, outcome: Outcome, permit: string | undefined) {
    if (permit !== undefined) return report(name, breaker, { outcome, permit })
    if (outcome === 'failure') return report(name, breaker, { outcome })
    if (outcome === 'released') return
    breaker.successes += 1
    if (breaker.telling) return
    breaker.telling = true
    await new Promise((resolve) => setTimeout(resolve, FRESH_MS / 2))
    const count = breaker.successes
    Object.assign(breaker, { successes: 0, telling: false })
    return report(name, breaker, { outcome, count })
  }

  /** Sent once: better to lose a count than to count a failure twice. */
  async function report(
    name: string,
    breaker: Known,
    body: { outcome: Outcome; count?: number; permit?: string },
  ) {
    const number = ++breaker.asked
    const request: Request = { path: { name }, body, timeoutMs: SLOW_MS, retries: 0 }
    const reply = await send('POST /v1/app-breakers/{name}/calls', request, readJson<Reply>).catch(away)
    if (reply) adopt(breaker, number, reply)
  }

  function track(work: Promise<void>) {
    const tracked = work.catch(() => {}).finally(() => untold.delete(tracked))
    untold.add(tracked)
  }
}

function adopt(breaker: Known, number: number, { state, seconds_left }: Reply) {
  if (number < breaker.answered) return
  // The probe of a half-open one may end at any moment. A null there: it is free, and asked for by the next call.
  const left =
    state === 'open' ? (seconds_left ?? LONGEST_S) : state === 'closed' ? FRESH_S : (seconds_left ?? 0)
  const longest = state === 'open' ? LONGEST_S : FRESH_S
  Object.assign(breaker, {
    answered: number,
    state,
    until: performance.now() + Math.min(left, longest) * 1000,
  })
}

/** What the hub refuses is the caller's error; that it is away is not. */
function away(error: unknown): undefined {
  if (!(error instanceof HubRequestError && error.mayPass)) throw error
}

const isOpen = (name: string, leftMs: number) =>
  new HubRequestError(`The breaker ${name} is open: its target failed too often. Ask again later.`, {
    ...{ code: 'breaker_open', status: 503, retryAfterMs: Math.max(0, Math.ceil(leftMs)) },
  })
