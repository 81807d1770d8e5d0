import { HubError, RedisReplyError, RedisUnavailableError, toHubError } from '../errors.ts'
import type { CompletionKeys } from '../keys.ts'
import type { Redis } from '../ports/redis.ts'
import { ANSWER_LIMIT, type Answer, createAnswer, type Piece } from './answer.ts'
import { fromChunks } from './completion-chunks.ts'
import { decodeEntry, type Paid } from './completion-entry.ts'
import { createPatience, type Patience } from './patience.ts'
import { followRun } from './run-follower.ts'
import { createRunPublisher, type RunEnd, type RunPublisher } from './run-publisher.ts'

/** A provider's call that equal callers can share. */
export interface SharedCall {
  form: Piece['form']
  /** Asks whether the caller may make it. Throws a `personal` error where not: others may. */
  hold(): Promise<void>
  open(signal: AbortSignal): AsyncIterable<string>
  /** What a whole answer cost, and what to store of it: nothing when it must not be stored. */
  end(response: string): { paid: Paid; stored?: { entry: string; ttlMs: number } }
}

/** What Redis says to a caller: somebody stored it, be the leader, follow that run; or it is away: `alone`. */
export type Lead =
  | { kind: 'hit'; entry: string }
  | { kind: 'lead' }
  | { kind: 'follow'; run: string }
  | { kind: 'alone' }

/** One answer being made, by this process or by another one. */
export interface Run {
  answer: Answer
  /** The entry of an answer that has ended: who asks again in this process need not wait until Redis has it. */
  readonly entry: string | undefined
  /** Known when a whole answer has ended, whoever made the call. */
  readonly paid: Paid | undefined
  /** Resolves when the call may go on, to the refusal where it may not. */
  begun: Promise<HubError | undefined>
  /** Settles when nothing is left to do; never rejects. Keep the runtime alive for it. */
  done: Promise<void>
}

export interface RunOptions {
  redis: Redis
  call: SharedCall
  first: Exclude<Lead, { kind: 'hit' }>
  /** Where the answer is stored and shared; without keys it is neither. */
  keys?: CompletionKeys
  caller: string
  /** Asks Redis again when a followed run is lost. */
  lead(patience: Patience): Promise<Lead>
  patience: Patience
  callBudget: number
  /** Whether who asks again finds `entry`; else the end waits until Redis has it. */
  sharesRequests: boolean
}

export function createRun(options: RunOptions): Run {
  const { redis, call, first, keys, caller, lead, patience, callBudget, sharesRequests } = options
  /** Nobody wants the answer any more. */
  const gone = new AbortController()
  const begun = Promise.withResolvers<HubError | undefined>()
  let publisher: RunPublisher | undefined
  let entry: string | undefined
  let paid: Paid | undefined
  const answer = createAnswer(() => void leave())
  const done = drive().catch((error) => answer.fail(toHubError(error)))
  if (first.kind === 'follow') begun.resolve(undefined)
  return {
    ...{ answer, begun: begun.promise, done },
    get entry() {
      return entry
    },
    get paid() {
      return paid
    },
  }

  async function drive() {
    let next: Lead | 'ended' = first
    while (next !== 'ended' && next.kind === 'follow') next = await follow(next.run)
    if (next === 'ended') return
    if (next.kind === 'hit') return replay(next.entry)
    await make(next.kind === 'lead')
  }

  /** Calls the provider. */
  async function make(leads: boolean) {
    const attempt = answer.begin()
    const pieces: Piece[] = []
    let size = 0
    if (leads && keys) publisher = createRunPublisher(redis, keys, caller, pieces, callBudget)
    try {
      await call.hold()
      begun.resolve(undefined)
      for await (const data of call.open(gone.signal)) {
        const piece = { form: call.form, data }
        attempt.push(piece)
        size += data.length
        if (size <= ANSWER_LIMIT) pieces.push(piece)
        else await overflow()
      }
      const stored = size <= ANSWER_LIMIT ? store(pieces) : undefined
      // Who asks again right after it finds the entry: here, or in Redis.
      if (!sharesRequests) await stored
      attempt.end()
      answer.end()
      await stored
    } catch (error) {
      const failure = toHubError(error)
      // Before the readers see it: who asks again right after it does not join what has failed.
      const end: RunEnd = failure.options.personal
        ? { type: 'refused' }
        : { type: 'error', error: failure.options }
      await patience.wait(async (timeoutMs) => publisher?.end(end, undefined, timeoutMs)).catch(() => {})
      answer.fail(gone.signal.aborted ? clientLeft() : failure)
      begun.resolve(failure)
    }
  }

  async function overflow() {
    const sharing = publisher
    publisher = undefined
    await sharing?.end({ type: 'overflow' }, undefined, 1_000).catch(() => {})
    await answer.room()
  }

  /** A cache outage stops nobody: what is not stored is only asked for again. */
  async function store(pieces: Piece[]) {
    const texts = pieces.map(({ data }) => data)
    const ended = call.end(call.form === 'chunk' ? fromChunks(texts) : texts[0]!)
    const { stored } = ended
    paid = ended.paid
    const write = patience.wait(async (timeoutMs) => {
      if (publisher) await publisher.end({ type: 'ok', pieces: pieces.length, paid }, stored, timeoutMs)
      else if (stored && keys && first.kind !== 'follow') {
        await redis.wave([['SET', keys.entry, stored.entry, 'PX', stored.ttlMs]], { timeoutMs })
      }
    })
    if (publisher) entry = stored?.entry
    await write.catch(() => {})
  }

  /** Reads another caller's run; says what to do when it did not come to its end. */
  async function follow(run: string): Promise<Lead | 'ended'> {
    const attempt = answer.begin()
    try {
      const followed = await followRun(redis, keys!, run, attempt, { signal: gone.signal, calls: callBudget })
      if (followed === 'lost') return await lead(createPatience())
      if (followed === 'alone') return { kind: 'alone' }
      paid = followed.paid
      answer.end()
      return 'ended'
    } catch (error) {
      if (gone.signal.aborted) {
        await redis.wave([['HDEL', keys!.run, `w:${caller}`]]).catch(() => {}) // no longer waits
        answer.fail(clientLeft())
        return 'ended'
      }
      if (error instanceof RedisUnavailableError || error instanceof RedisReplyError) return { kind: 'alone' }
      throw error
    }
  }

  function replay(entry: string) {
    const stored = decodeEntry(entry)
    if (!stored)
      throw new HubError({ code: 'cache_entry_broken', status: 500, message: 'The stored answer is broken.' })
    paid = stored
    const attempt = answer.begin()
    attempt.push({ form: 'completion', data: stored.response })
    attempt.end()
    answer.end()
  }

  /** The last reader here left. Where others wait for it the call goes on, else the provider's call ends too. */
  async function leave() {
    const given = (await publisher?.release().catch(() => true)) ?? true
    if (given) gone.abort()
  }
}

/** Nobody reads it: for the record alone. The status is nginx's. */
const clientLeft = () =>
  new HubError({ code: 'client_closed_request', status: 499, message: 'The client left before the end.' })
