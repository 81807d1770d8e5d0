import { setTimeout as sleep } from 'node:timers/promises'
import { ADMIN_KEY } from './hub-process.ts'

export interface Contention {
  /** Of hubs, of which some answers. */
  urls: string[]
  lock: string
  leaseMs: number
  /** Part of its acquisitions after which a contender sleeps for longer than the lease. */
  pauses: number
}

/** What a contender tells. `at` and `sentAt` are Unix ms, `began` and `ended` ms of the machine's monotonic clock. */
export type Said =
  | { type: 'acquired'; token: number; expiresAt: number; began: number; ended: number }
  | { type: 'renewed'; token: number; expiresAt: number }
  | { type: 'wrote'; where: string; token: number; version: number }
  | { type: 'refused'; where: string; token: number }
  | { type: 'releasing'; token: number; at: number }
  | { type: 'paused' | 'vain' | 'lost' | 'unanswered' }

const WAIT_SECONDS = 3

/** Acquires, works, sometimes sleeps too long, writes as if nothing had happened, and releases; until the signal aborts. */
export async function contend(
  { urls, lock, leaseMs, pauses }: Contention,
  who: string,
  say: (said: Said) => void,
  over: AbortSignal,
): Promise<void> {
  const path = `/v1/locks/${lock}`
  const ttl_seconds = leaseMs / 1000

  /** Undefined when nobody answered, or the hub could not. */
  async function call(method: string, to: string, body?: unknown, headers = {}, patienceMs = 10_000) {
    try {
      const reply = await fetch(urls[Math.floor(Math.random() * urls.length)] + to, {
        method,
        headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json', ...headers },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(patienceMs),
      })
      const text = await reply.text()
      if (reply.status < 500) return { status: reply.status, body: text ? JSON.parse(text) : undefined }
    } catch {}
    say({ type: 'unanswered' })
    await sleep(50 + 100 * Math.random())
    return undefined
  }

  async function acquire() {
    const wanted = { ttl_seconds, wait_seconds: WAIT_SECONDS, owner: who }
    // Some lose patience and hang up; others ask again with their key until somebody answers.
    if (chance(0.1)) return call('POST', path, wanted, {}, 100 + 900 * Math.random())
    const once = { 'idempotency-key': crypto.randomUUID() }
    for (;;) {
      const reply = await call('POST', path, wanted, once)
      if (reply || over.aborted) return reply
    }
  }

  async function write(where: string, to: string, token: number, body: unknown, isFenced: boolean) {
    const reply = await call('PUT', to, body, isFenced ? { 'x-hub-lock': `${lock}=${token}` } : {})
    if (reply?.status === 412) say({ type: 'refused', where, token })
    else if (reply && reply.status < 300) {
      say({ type: 'wrote', where, token, version: reply.body.version ?? reply.body.facts.last.version })
    } else if (reply) throw new Error(`PUT ${to}: ${reply.status} ${JSON.stringify(reply.body)}`)
  }

  while (!over.aborted) {
    const began = monotonic()
    const got = await acquire()
    if (got?.status !== 201) {
      if (got?.status === 409) say({ type: 'vain' })
      else if (got) throw new Error(`POST ${path}: ${got.status} ${JSON.stringify(got.body)}`)
      continue
    }
    const { token, expires_at } = got.body
    say({ type: 'acquired', token, expiresAt: Date.parse(expires_at), began, ended: monotonic() })
    await sleep(5 + 10 * Math.random())
    if (chance(pauses)) {
      say({ type: 'paused' })
      await sleep(leaseMs * (1.5 + Math.random()))
    } else if (chance(0.2)) {
      const renewed = await call('PUT', path, { token, ttl_seconds })
      if (renewed?.status === 412) say({ type: 'lost' })
      if (renewed?.status === 200)
        say({ type: 'renewed', token, expiresAt: Date.parse(renewed.body.expires_at) })
    }
    // Whoever lost the lock does not know, or does not care: the resource must.
    const last = { token, who }
    const message = { role: 'user', content: JSON.stringify(last) }
    await write('unfenced', '/v1/knowledge/unfenced', token, { last }, false)
    await write('knowledge', '/v1/knowledge/fenced', token, { last }, true)
    await write('config', '/v1/config/fenced', token, { last }, true)
    await write('prompt', '/v1/prompts/fenced', token, { messages: [message], variables: {} }, true)
    say({ type: 'releasing', token, at: Date.now() })
    await call('DELETE', `${path}?token=${token}`)
  }
}

const chance = (part: number) => Math.random() < part
const monotonic = () => Number(process.hrtime.bigint() / 1_000n) / 1_000

/** As a process, until its input ends: so many contenders, each thing that they say as a line of JSON. */
if (import.meta.main) {
  const { count, name, ...given } = JSON.parse(process.argv[2]!) as Contention & {
    count: number
    name: string
  }
  const say = (said: Said) => void process.stdout.write(`${JSON.stringify(said)}\n`)
  const over = new AbortController()
  process.stdin.on('end', () => over.abort()).resume()
  const all = Array.from({ length: count }, (_, n) => contend(given, `${name}-${n}`, say, over.signal))
  await Promise.all(all)
}
