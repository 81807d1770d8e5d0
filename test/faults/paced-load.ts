import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'

/** One request and what came of it. Times are `performance.now()`. */
export interface Exchange {
  kind: string
  /** When the schedule wanted it, whatever else was on its way. */
  due: number
  began: number
  ended: number
  /** 0 where nobody answered. */
  status: number
  /** Of an error, e.g. `redis_unavailable`, or of the connection's. */
  code: string
  /** It is no failure: below 400, or what its sender said it takes for an answer. */
  fine: boolean
}

interface Reply extends Exchange {
  headers: Record<string, string | string[] | undefined>
  // biome-ignore lint/suspicious/noExplicitAny: JSON of many routes
  body: any
}

export interface Sending {
  body?: unknown
  headers?: Record<string, string>
  /** Statuses above 399 that are an answer too. */
  takes?: readonly number[]
}

export type Call = (method: string, path: string, sending?: Sending) => Promise<Reply>

export interface Kind {
  name: string
  /** How often a second; requests that follow the first one of `ask` come on top. */
  rate: number
  ask(call: Call, n: number): Promise<void>
}

export interface PacedLoadOptions {
  /** Requests take turns among them. */
  urls: readonly string[]
  headers: Record<string, string>
  kinds: readonly Kind[]
  /** After it a sender gives up. Milliseconds. */
  patienceMs: number
  /** Of requests without an answer yet: those that are due beyond it are not sent. A machine that is too busy for the load is so not drowned in it. */
  mostUnderWay: number
}

const TICK_MS = 2

/**
 * An open loop: each kind of request is sent at its rate, whether those before were answered or not, and is timed from when it was due. A stall is
 * so seen by all whom it would have met, and not only by the first.
 */
export function startPacedLoad({ urls, headers, kinds, patienceMs, mostUnderWay }: PacedLoadOptions) {
  const agent = new Agent({ keepAliveTimeout: 60_000, headersTimeout: patienceMs, bodyTimeout: patienceMs })
  const exchanges: Exchange[] = []
  const underWay = new Set<Promise<void>>()
  const errors: unknown[] = []
  const started = performance.now()
  let turn = 0
  let skipped = 0
  let isOver = false

  async function exchange(kind: string, due: number, method: string, path: string, sending: Sending = {}) {
    const began = performance.now()
    const one: Reply = {
      kind,
      due,
      began,
      ended: 0,
      status: 0,
      code: '',
      fine: false,
      headers: {},
      body: undefined,
    }
    try {
      const url = urls[turn++ % urls.length]! + path
      const body = sending.body === undefined ? undefined : JSON.stringify(sending.body)
      const reply = await request(url, {
        ...{ method: method as 'GET', dispatcher: agent, body, signal: AbortSignal.timeout(patienceMs) },
        headers: { 'content-type': 'application/json', ...headers, ...sending.headers },
      })
      const text = await reply.body.text()
      one.status = reply.statusCode
      one.headers = reply.headers
      one.body = text === '' ? undefined : JSON.parse(text)
      one.code = one.body?.error?.code ?? ''
      one.fine = one.status < 400 || (sending.takes?.includes(one.status) ?? false)
    } catch (error) {
      const { code, name } = error as NodeJS.ErrnoException
      one.status = 0
      one.code = code ?? name
    }
    one.ended = performance.now()
    const { headers: _, body: __, ...kept } = one
    exchanges.push(kept)
    return one
  }

  function send(kind: Kind, n: number, due: number) {
    if (underWay.size >= mostUnderWay) return skipped++
    let isFirst = true
    const call: Call = (method, path, sending) => {
      const at = isFirst ? due : performance.now()
      isFirst = false
      return exchange(kind.name, at, method, path, sending)
    }
    const asked = kind.ask(call, n).catch((error) => void errors.push(error))
    underWay.add(asked)
    void asked.then(() => underWay.delete(asked))
  }

  async function pace() {
    const sent = kinds.map(() => 0)
    // Kinds do not come in step.
    const dueOf = (k: number) => started + ((sent[k]! + k / kinds.length) * 1_000) / kinds[k]!.rate
    while (!isOver) {
      for (const [k, kind] of kinds.entries())
        for (const now = performance.now(); dueOf(k) <= now; sent[k]!++) send(kind, sent[k]!, dueOf(k))
      await sleep(TICK_MS)
    }
  }
  const paced = pace()

  return {
    exchanges,
    /** Were due, and not sent. */
    get skipped() {
      return skipped
    },
    /** No more are sent; those under way come to their end. Throws what a kind threw. */
    async stop() {
      isOver = true
      await paced
      await Promise.all(underWay)
      await agent.close()
      if (errors.length > 0) throw errors[0]
    },
  }
}

export interface Tally {
  requests: number
  failed: number
  /** By status and code, of those that failed. */
  failures: Record<string, number>
  /** From when it was due. */
  slowest_ms: number
  p50_ms: number
  p99_ms: number
}

/** What came of requests, all or of one kind. */
export function tallyOf(exchanges: readonly Exchange[]): Tally {
  const failures: Record<string, number> = {}
  const failed = exchanges.filter(({ fine }) => !fine)
  for (const { status, code } of failed) {
    const name = [status || 'none', code].filter(Boolean).join(' ')
    failures[name] = (failures[name] ?? 0) + 1
  }
  const waits = exchanges.map(({ due, ended }) => ended - due).sort((a, b) => a - b)
  const at = (part: number) => Math.round(waits[Math.ceil(waits.length * part) - 1] ?? 0)
  return {
    ...{ requests: exchanges.length, failed: failed.length, failures },
    ...{ slowest_ms: at(1), p50_ms: at(0.5), p99_ms: at(0.99) },
  }
}

/** Of each kind, with the longest time from then on without an answer. */
export function byKind(exchanges: readonly Exchange[], from: number) {
  const kinds = [...Map.groupBy(exchanges, ({ kind }) => kind)]
  return Object.fromEntries(
    kinds.map(([kind, all]) => [kind, { ...tallyOf(all), longest_gap_ms: longestGap(all, from) }]),
  )
}

/** The longest time without an answer that is none of failure, of those whose ends lie after `from`. Milliseconds. */
function longestGap(exchanges: readonly Exchange[], from: number): number {
  const ends = exchanges.filter(({ fine, ended }) => fine && ended >= from).map(({ ended }) => ended)
  const inOrder = [from, ...ends.sort((a, b) => a - b)]
  return Math.round(Math.max(0, ...inOrder.slice(1).map((end, i) => end - inOrder[i]!)))
}
