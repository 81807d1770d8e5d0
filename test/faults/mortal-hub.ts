import { type Rim, wire } from '../../infra/wire.ts'
import { createOutgoingNode } from '../../shared/drivers/outgoing-node.ts'
import type { CallOptions, Command, Redis, ScriptCall } from '../../shared/ports/redis.ts'

export interface MortalHubOptions extends Partial<Rim> {
  /** Shared by all hubs of a test; each one's death is its own. */
  redis: Redis
  env: Record<string, string | undefined>
}

/** When a process dies: at its n-th call to Redis, from 1. */
export interface Death {
  at: number
  /** Redis gets the call, and nobody hears its reply; else it never gets it. */
  arrives: boolean
}

type Calls = readonly (Command | ScriptCall)[]

/** Nobody is left to go on. */
const never = () => new Promise<never>(() => {})

/**
 * A hub in this process that can die as by SIGKILL: from then on it sends nothing to Redis, providers and tools, and no promise of it settles.
 * What was on its way arrives.
 */
export function createMortalHub({ redis, env, ...rim }: MortalHubOptions) {
  let calls = 0
  let dies = (_call: number, _commands: Calls) => false
  let arrives = false
  let before: ((call: number, commands: Calls) => Promise<unknown>) | undefined
  let isDead = false
  const died = Promise.withResolvers<'died'>()
  const outgoing = createOutgoingNode({ silenceMs: 20_000 })

  async function wave(commands: Calls, options?: CallOptions) {
    if (isDead) return never()
    const call = ++calls
    await before?.(call, commands)
    if (!isDead && dies(call, commands)) {
      isDead = true
      if (arrives) await redis.wave(commands, { timeoutMs: 5_000 })
      died.resolve('died')
    }
    if (isDead) return never()
    const replies = redis.wave(commands, { ...options, timeoutMs: Math.max(2_000, options?.timeoutMs ?? 0) })
    return replies.finally(() => (isDead ? never() : undefined))
  }
  const port = { ...redis, wave, close: async () => {} } as Redis
  const hub = wire(
    { OPENAI_API_KEY: 'sk-test', HUB_BREAKER_MIN_CALLS: '1000000', ...env },
    {
      ...{ sharesRequests: true, tallyDelayMs: 0, keySecret: 'a secret of this test' },
      log: { info() {}, error: (line) => void errors.push(line) },
      fetch: (...args) => (isDead ? never() : fetch(...args)),
      outgoing: { ...outgoing, send: (request) => (isDead ? never() : outgoing.send(request)) },
      ...rim,
    },
    () => ({ redis: port, cacheRedis: port, vectorRedis: { reads: port, writes: port } }),
  )
  const errors: Record<string, unknown>[] = []
  let deferred: Promise<unknown>[] = []
  const defer = (work: Promise<unknown>) => void deferred.push(work.catch((cause) => errors.push({ cause })))

  const mortal = {
    errors,
    /** What was said to Redis since the last `count`. */
    get calls() {
      return calls
    },
    died: died.promise,
    /** Counts anew. */
    dieAt(death: Death | undefined) {
      calls = 0
      dies = (call) => call === death?.at
      arrives = death?.arrives ?? false
    },
    /** When it is about to send these. */
    dieWhen(is: (commands: Calls) => boolean) {
      dies = (_, commands) => is(commands)
    },
    /** Something else happens before each call; counts anew. */
    beforeCall(happens: typeof before) {
      calls = 0
      before = happens
    },
    work: hub.work,
    async ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
      const reply = (await hub.app.request(
        `http://localhost${path}`,
        {
          method,
          headers: { host: 'localhost', 'content-type': 'application/json', ...headers },
          ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        },
        { defer },
      )) as Response
      const text = await reply.text()
      const isJson = /json/.test(reply.headers.get('content-type') ?? '')
      return { status: reply.status, body: isJson ? JSON.parse(text) : text }
    },
    /** All that was deferred is done. */
    async settled() {
      while (deferred.length > 0) await Promise.all(deferred.splice(0))
      deferred = []
    },
    close: hub.close,
  }
  return mortal
}

export type MortalHub = ReturnType<typeof createMortalHub>
