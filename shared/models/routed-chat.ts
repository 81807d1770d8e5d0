import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '../errors.ts'
import type { Chat, ChatRequest, ChatTarget } from '../ports/chat.ts'
import type { BreakerName } from './breaker-memory.ts'
import type { Breakers, Outcome } from './breakers.ts'
import { type CallLimit, createCallLimit } from './call-limit.ts'
import type { ModelRoute, Timeouts } from './model-routes.ts'
import { isRefused, retryWait } from './retry-wait.ts'

/** One way to a model: with one credential. */
export interface Lane {
  chat: Chat
  target: ChatTarget
  breaker: BreakerName
}

export interface RoutedTarget {
  /** One a credential; the same model in each. The first one was not refused last time. */
  lanes: Lane[]
  weight: number
  timeouts?: Timeouts
}

export interface RoutePlan extends Pick<ModelRoute, 'strategy' | 'retries'> {
  name: string
  targets: RoutedTarget[]
}

export interface RouteCallOptions {
  signal: AbortSignal
  /** Takes the recording of outcomes; without it the call's end waits for that. */
  defer?(work: Promise<unknown>): void
  /** Just before the first piece: who answers. */
  onTarget?(target: ChatTarget): void
}

interface Tools {
  breakers: Breakers
  random: () => number
}

const LONGEST_OPEN_SECONDS = 60

/**
 * Calls the plan's targets one after the other until one gives its first token; from then on a failure is the answer's end.
 * What the caller did wrong is not tried elsewhere.
 *
 * Errors: those of the last target; `breaker_open` (503) when none may be called.
 */
export async function* routedCall(
  plan: RoutePlan,
  request: ChatRequest,
  options: RouteCallOptions,
  { breakers, random }: Tools,
): AsyncGenerator<string, void, void> {
  const { signal, defer } = options
  let failure: unknown
  let shutMs = Number.POSITIVE_INFINITY
  const holds = plan.retries > 0 || plan.targets.flatMap(({ lanes }) => lanes).length > 1
  for (const target of inOrder(plan, random)) {
    const { provider: name } = target.lanes[0]!.target
    const limit = createCallLimit(target.timeouts, {
      name,
      streamed: request.stream === true,
      caller: signal,
    })
    for (let tries = 0; ; tries++) {
      let failed: unknown
      for (const lane of [...target.lanes]) {
        const permit = await breakers.admit(lane.breaker)
        if (typeof permit === 'number') {
          shutMs = Math.min(shutMs, permit)
          continue
        }
        const progress = { holds, began: false }
        let outcome: Outcome = 'released'
        try {
          yield* pieces(lane, request, limit, progress, options)
          outcome = 'ok'
          return
        } catch (error) {
          if (!signal.aborted) outcome = outcomeOf(error)
          if (progress.began || signal.aborted || !isOthersTurn(error)) throw error
          failed = failure = error
        } finally {
          const work = permit.end(outcome)
          if (work && defer) defer(work)
          else await work
        }
        if (!isOfCredential(failed)) break
        if (target.lanes[0] === lane) target.lanes.push(target.lanes.shift()!)
      }
      const waitMs = tries < plan.retries ? retryWait(failed, tries, random) : undefined
      if (waitMs === undefined || waitMs >= limit.leftMs()) break
      await sleep(waitMs, undefined, { signal })
    }
  }
  throw failure ?? breakerOpen(plan.name, shutMs)
}

interface Progress {
  /** Whether a failure could still be somebody else's turn: then pieces are held back until the first token. */
  holds: boolean
  /** The caller has a piece. */
  began: boolean
}

/** One try. */
async function* pieces(
  { chat, target }: Lane,
  request: ChatRequest,
  limit: CallLimit,
  progress: Progress,
  { onTarget }: RouteCallOptions,
) {
  const { signal, heard, close } = limit.begin()
  const held: string[] = []
  let speaks = !request.stream
  const begin = () => {
    if (!progress.began) onTarget?.(target)
    progress.began = true
    return held.splice(0)
  }
  try {
    for await (const piece of chat.call(target, request, { signal })) {
      if (speaks && progress.began) {
        yield piece
        continue
      }
      if (!speaks && hasToken(piece)) {
        speaks = true
        heard()
      }
      held.push(piece)
      if (speaks || !progress.holds) yield* begin()
    }
    yield* begin()
  } finally {
    close()
  }
}

/** False for a chunk that only opens the answer: a role, an empty text. */
function hasToken(chunk: string): boolean {
  const { choices } = JSON.parse(chunk) as { choices?: { delta?: object; finish_reason?: string | null }[] }
  return (choices ?? []).some(
    ({ delta, finish_reason }) =>
      finish_reason ||
      Object.entries(delta ?? {}).some(
        ([field, value]) => field !== 'role' && value !== null && value !== '',
      ),
  )
}

/** A weighted order is drawn without putting back: after each target the others remain for when it fails. */
function inOrder({ targets, strategy }: RoutePlan, random: () => number): RoutedTarget[] {
  if (strategy === 'ordered') return targets
  const left = [...targets]
  return targets.map(() => {
    let at = random() * left.reduce((sum, { weight }) => sum + weight, 0)
    const index = left.findIndex(({ weight }) => {
      at -= weight
      return at < 0
    })
    return left.splice(Math.max(0, index), 1)[0]!
  })
}

/** What the provider says of the request itself; 404 too, but a model that is gone here may be there elsewhere. */
const OF_THE_REQUEST = new Set([400, 404, 409, 413, 422])

/**
 * A refused credential (401) counts as a failure: nobody is served there. A limit (429) counts as nothing: it opens by
 * itself, and the provider says when.
 */
function outcomeOf(error: unknown): Outcome {
  if (!(error instanceof HubError) || error.status === 429) return 'released'
  return OF_THE_REQUEST.has(error.status) ? 'rejected' : 'failed'
}

const isOthersTurn = (error: unknown): error is HubError =>
  error instanceof HubError && (error.status >= 500 || error.status === 429 || error.status === 404)

/** Another credential may do better at once. */
const isOfCredential = (error: unknown) =>
  isRefused(error) || (error instanceof HubError && error.status === 429)

function breakerOpen(name: string, shutMs: number) {
  const retryAfterSeconds = Math.min(LONGEST_OPEN_SECONDS, shutMs / 1000)
  const message = `${name} failed too often of late and is not called for now. Try again after Retry-After.`
  return new HubError({ code: 'breaker_open', status: 503, message, retryAfterSeconds })
}
