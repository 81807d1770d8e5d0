import { createHash } from 'node:crypto'
import { RedisUnavailableError } from '../errors.ts'
import { newId } from '../ids.ts'
import { type CompletionKeys, RUN_LEASE_MS } from '../keys.ts'
import type { Redis, ScriptCall } from '../ports/redis.ts'
import { leadScript } from '../scripts.generated.ts'
import type { Patience } from './patience.ts'
import { createRun, type Lead, type Run, type SharedCall } from './run.ts'

export interface CollapseOptions {
  redis: Redis
  /** Whether one request may read what another one of this process receives: not on Workers. */
  sharesRequests: boolean
  /** Redis calls that one request may make; a Worker's subrequests are counted. */
  callBudget?: number
}

type Joined =
  | { kind: 'hit'; entry: string }
  | {
      kind: 'run'
      run: Run
      /** It joined another caller's call. */
      collapsed: boolean
      /** Redis took part. */
      shared: boolean
    }

/** What the caller learned before. */
interface JoinKnowledge {
  /** Redis is away. */
  away?: boolean
  /** The entry that is there, and too old. */
  stale?: string
}

export interface Collapse {
  /**
   * Joins the running call of the same key or makes it: one leader calls the provider, equal callers read what it gets, in
   * this process where it shares requests, else through Redis. Redis away: shared in this process only. A call that its
   * caller may not make throws the refusal.
   */
  join(keys: CompletionKeys, call: SharedCall, patience: Patience, known?: JoinKnowledge): Promise<Joined>
  /** Calls without sharing. With `keys` the answer is stored. */
  alone(call: SharedCall, patience: Patience, keys?: CompletionKeys): Run
}

export function createCollapse(options: CollapseOptions): Collapse {
  const { redis, sharesRequests, callBudget = Number.POSITIVE_INFINITY } = options
  const running = new Map<string, Promise<Joined>>()

  return {
    async join(keys, call, patience, knowledge = {}) {
      for (;;) {
        const inFlight = running.get(keys.entry)
        if (!inFlight) break
        const known = await inFlight.catch(() => undefined) // refused for its own caller's reasons
        if (known?.kind === 'hit') return known
        if (known?.run.entry) return { kind: 'hit', entry: known.run.entry }
        if (known?.run.answer.open) return { ...known, collapsed: true }
        if (running.get(keys.entry) === inFlight) break
      }
      const own = start(keys, call, patience, knowledge)
      if (sharesRequests) share(keys.entry, own)
      return own
    },
    alone: (call, patience, keys) =>
      createRun({
        redis,
        call,
        patience,
        keys,
        callBudget,
        sharesRequests,
        first: { kind: 'alone' },
        caller: '',
        lead: async () => ({ kind: 'alone' }),
      }),
  }

  /** Known before Redis is asked, so that a second caller of this process does not ask too. */
  function share(key: string, own: Promise<Joined>) {
    running.set(key, own)
    const forget = () => {
      if (running.get(key) === own) running.delete(key)
    }
    own.then((joined) => (joined.kind === 'run' ? joined.run.done.finally(forget) : forget()), forget)
  }

  async function start(
    keys: CompletionKeys,
    call: SharedCall,
    patience: Patience,
    { away, stale }: JoinKnowledge,
  ): Promise<Joined> {
    const caller = newId()
    const old = stale === undefined ? '' : createHash('sha1').update(stale).digest('hex')
    const lead = (patience: Patience) => askForLead(redis, keys, [caller, RUN_LEASE_MS, old], patience)
    const first: Lead = away ? { kind: 'alone' } : await lead(patience)
    if (first.kind === 'hit') return first
    const shared = first.kind !== 'alone'
    const run = createRun({
      redis,
      call,
      patience,
      keys: shared ? keys : undefined,
      callBudget,
      sharesRequests,
      first,
      caller,
      lead,
    })
    const refusal = await run.begun
    if (refusal?.options.personal) throw refusal
    return { kind: 'run', run, collapsed: first.kind === 'follow', shared }
  }
}

async function askForLead(
  redis: Redis,
  keys: CompletionKeys,
  args: ScriptCall['args'],
  patience: Patience,
): Promise<Lead> {
  try {
    const call = {
      script: leadScript,
      keys: [keys.entry, keys.run, keys.chunks],
      args,
    }
    const [reply] = await patience.wait((timeoutMs) => redis.wave([call], { timeoutMs }))
    if (!Array.isArray(reply)) return { kind: 'alone' } // read-only or out of memory: answer without sharing
    const [kind, value] = reply as [Lead['kind'], string]
    if (kind === 'hit') return { kind, entry: value }
    return kind === 'follow' ? { kind, run: value } : { kind: 'lead' }
  } catch (error) {
    if (error instanceof RedisUnavailableError) return { kind: 'alone' }
    throw error
  }
}
