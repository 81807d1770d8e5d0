import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../infra/local-redis/free-ports.ts'
import type { RedisServer } from '../../infra/local-redis/redis-server.ts'
import { startRedis } from '../../infra/local-redis/run-redis.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { promptKey } from '../../shared/keys.ts'
import { startHub, startHubs } from './hub-process.ts'
import { type Contention, contend, type Said } from './lock-contender.ts'

export interface LockTortureOptions {
  server: RedisServer
  /** Default 100: three fifths in processes of their own. */
  contenders?: number
  /** How long they contend at least. Default 12; longer, to four times that, until there was enough to judge. */
  seconds?: number
  report?: (line: string) => void
}

export interface LockTortureReport {
  contenders: number
  /** Acquisitions that somebody heard of. */
  acquired: number
  renewed: number
  /** Waits that ended without the lock. */
  in_vain: number
  /** Contenders slept for longer than their lease; processes were stopped for longer. */
  pauses: number
  stops: number
  hub_kills: number
  redis_kills: number
  unanswered: number
  /** Of the fenced resources. */
  writes_accepted: number
  stale_refused: number
  /** Accepted after one with a higher token: must be none. */
  stale_accepted: number
  /** The same of a resource that did not look at tokens. */
  unfenced_stale_accepted: number
  /** Tokens that two acquisitions got, or that were no higher than one given before: must be none. */
  tokens_wrong: number
  /** Leases that began before the one before them was released or over: must be none. */
  held_twice: number
  seconds: number
}

const LOCK = 'torture'
const LEASE_MS = 250
const PROCESSES = 3
/** Part of the acquisitions after which a contender sleeps for too long; after which its process, where it has one, is stopped. */
const PAUSES = 0.15
const STOPS = 0.3
/** Stale writes refused: fewer prove little. */
const ENOUGH = 10

/**
 * Contenders for one lock over two hubs, of which one is killed again and again, on a Redis that is killed once and loses nothing (AOF, synced
 * always). Many outlive their lease, asleep or stopped as a whole process, and write all the same: what they are told is not what is judged,
 * but what the resources took, and in which order.
 */
export async function runLockTorture(options: LockTortureOptions): Promise<LockTortureReport> {
  const { server, contenders = 100, seconds = 12, report = () => {} } = options
  const directory = await mkdtemp(join(tmpdir(), 'hub-lock-faults-'))
  const redisOptions = { server, directory, args: ['--appendfsync', 'always'] }
  let local = await startRedis({ ...redisOptions, port: 0 })
  const { url, port } = local
  const ports = await freePorts(2)
  const hubs = await startHubs(2, async () => {
    const own = ports.shift()!
    const hub = await startHub(url, { PORT: `${own}`, FUNCTIONS: 'platform,agent-step,prompts' })
    return { ...hub, kill: () => hub.kill().finally(() => ports.push(own)) }
  })
  const urls = hubs.all().map((hub) => hub.url)
  const said: Said[] = []
  let stops = 0
  const started = performance.now()
  const contention: Contention = { urls, lock: LOCK, leaseMs: LEASE_MS, pauses: PAUSES }
  const over = new AbortController()
  const isEnough = () => {
    const { stale_refused, unfenced_stale_accepted, pauses } = judge(said, [])
    const rare = [unfenced_stale_accepted, pauses, stops, hubs.kills]
    return stale_refused >= ENOUGH && rare.every((count) => count > 0)
  }
  const inProcesses = Math.floor((contenders * 3) / 5 / PROCESSES)
  const processes = Array.from({ length: PROCESSES }, (_, n) => {
    const file = fileURLToPath(new URL('lock-contender.ts', import.meta.url))
    const given = JSON.stringify({ ...contention, count: inProcesses, name: `p${n}` })
    const child = spawn(process.execPath, [file, given], { stdio: ['pipe', 'pipe', 'inherit'] })
    let isStopped = false
    createInterface({ input: child.stdout }).on('line', (line) => {
      const one = JSON.parse(line) as Said
      said.push(one)
      if (one.type !== 'acquired' || isStopped || Math.random() > STOPS) return
      isStopped = true
      stops++
      child.kill('SIGSTOP')
      setTimeout(() => {
        child.kill('SIGCONT')
        isStopped = false
      }, LEASE_MS * 2)
    })
    return { child, over: once(child, 'close') as Promise<[code: number | null]> }
  })
  try {
    const own = Array.from({ length: contenders - inProcesses * PROCESSES }, (_, n) =>
      contend(contention, `own-${n}`, (one) => void said.push(one), over.signal),
    )
    hubs.harass(6_000, { spared: 1 })
    await sleep(seconds * 500)
    report('Redis is killed')
    process.kill(local.pid, 'SIGKILL')
    await local.exited
    local = await startRedis({ ...redisOptions, port })
    report('Redis is back')
    await sleep(seconds * 500)
    for (const late = performance.now() + seconds * 3_000; performance.now() < late && !isEnough(); )
      await sleep(250)
    over.abort()
    for (const { child } of processes) child.stdin.end()
    await Promise.all(own)
    for (const [code] of await Promise.all(processes.map(({ over }) => over))) {
      if (code !== 0) throw new Error(`A process of contenders ended with ${code}`)
    }
    await hubs.relent()
    const redis = createRedisResp({ url })
    const [prompt] = await redis.wave([['HGETALL', promptKey('default', 'fenced')]], { timeoutMs: 10_000 })
    await redis.close()
    return {
      contenders,
      ...judge(said, prompt as string[]),
      ...{ stops, hub_kills: hubs.kills, redis_kills: 1 },
      seconds: Math.round((performance.now() - started) / 100) / 10,
    }
  } finally {
    for (const { child } of processes) child.kill('SIGKILL')
    await hubs.relent()
    await hubs.stop()
    await local.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

function judge(said: readonly Said[], prompt: readonly string[]) {
  const all = <Type extends Said['type']>(type: Type) =>
    said.filter((one): one is Extract<Said, { type: Type }> => one.type === type)
  const acquired = all('acquired')
  const wrote = all('wrote')
  const orderOf = (where: string) =>
    wrote
      .filter((one) => one.where === where)
      .sort((a, b) => a.version - b.version)
      .map(({ token }) => token)
  // Redis itself has every version, also those that nobody was told of.
  const versions = prompt.flatMap((field, i) => {
    const [, version] = /^v:(\d+)$/.exec(i % 2 === 0 ? field : '') ?? []
    if (version === undefined) return []
    const { messages } = JSON.parse(prompt[i + 1]!) as { messages: { content: string }[] }
    return [{ version: Number(version), token: JSON.parse(messages[0]!.content).token as number }]
  })
  const ofPrompt = versions.sort((a, b) => a.version - b.version).map(({ token }) => token)
  return {
    acquired: acquired.length,
    renewed: all('renewed').length,
    in_vain: all('vain').length,
    pauses: all('paused').length,
    unanswered: all('unanswered').length,
    writes_accepted: orderOf('knowledge').length + orderOf('config').length + ofPrompt.length,
    stale_refused: all('refused').length,
    stale_accepted: falls(orderOf('knowledge')) + falls(orderOf('config')) + falls(ofPrompt),
    unfenced_stale_accepted: falls(orderOf('unfenced')),
    tokens_wrong: wrongTokens(acquired),
    held_twice: heldTwice(acquired, all('renewed'), all('releasing')),
  }
}

/** How many are lower than one before them. */
export function falls(tokens: readonly number[]): number {
  let highest = 0
  return tokens.filter((token) => {
    const isLower = token < highest
    highest = Math.max(highest, token)
    return isLower
  }).length
}

type Acquired = Extract<Said, { type: 'acquired' }>

function wrongTokens(acquired: readonly Acquired[]): number {
  const twice = acquired.length - new Set(acquired.map(({ token }) => token)).size
  const low = acquired.filter(({ began, token }) =>
    acquired.some((before) => before.ended < began && before.token >= token),
  )
  return twice + low.length
}

/** A token is when it was given, in µs of the clock that leases end by: here that of all processes. */
function heldTwice(
  acquired: readonly Acquired[],
  renewed: readonly { token: number; expiresAt: number }[],
  releasing: readonly { token: number; at: number }[],
): number {
  const inOrder = acquired.toSorted((a, b) => a.token - b.token)
  return inOrder.filter(({ token, expiresAt }, i) => {
    const next = inOrder[i + 1]
    const released = releasing.find((one) => one.token === token)?.at ?? Number.POSITIVE_INFINITY
    const expires = Math.max(
      expiresAt,
      ...renewed.filter((one) => one.token === token).map((one) => one.expiresAt),
    )
    return next !== undefined && next.token / 1_000 + 1 < Math.min(released, expires)
  }).length
}
