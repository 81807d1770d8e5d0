import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const ADMIN_KEY = 'the-admin-key-of-the-faults'

/** `node infra/node.ts` as a process. `onError`: what it writes to its error log, in parts. */
export async function startHub(
  redisUrl: string,
  env: Record<string, string>,
  onError?: (text: string) => void,
) {
  const data = await mkdtemp(join(tmpdir(), 'hub-data-'))
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../infra/node.ts', import.meta.url))], {
    env: {
      ...{ PATH: process.env.PATH, PORT: '0', REDIS_URL: redisUrl, HUB_DATA_DIR: data },
      ...{ HUB_ADMIN_KEY: ADMIN_KEY, ...env },
    },
    stdio: ['ignore', 'pipe', onError ? 'pipe' : 'ignore'],
  })
  child.stderr?.setEncoding('utf8').on('data', onError!)
  const exited = once(child, 'exit')
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    await exited
    await rm(data, { recursive: true, force: true })
  }
  let said = ''
  for await (const part of child.stdout!.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    said += part
    const url = /redis-ai-hub is ready: (\S+)/.exec(said)?.[1]
    if (!url) continue
    child.stdout!.resume()
    return { url, kill: () => end('SIGKILL'), stop: () => end('SIGTERM') }
  }
  throw new Error(`The hub ended:\n${said}`)
}

export type HubProcess = Awaited<ReturnType<typeof startHub>>

/**
 * So many hubs on one Redis, of which one is killed at random again and again from `harass` on; each comes back at once, and the next one dies
 * whether it is back or not, as long as `spared` others live.
 */
export async function startHubs(count: number, start: () => Promise<HubProcess>) {
  const hubs: (HubProcess | undefined)[] = await Promise.all(Array.from({ length: count }, start))
  let kills = 0
  const over = new AbortController()
  let killer: Promise<void> | undefined

  async function killing(everyMs: number, spared: number) {
    const returning = new Set<Promise<void>>()
    while (!over.signal.aborted) {
      await sleep(everyMs * (0.3 + 0.7 * Math.random()), undefined, { signal: over.signal }).catch(() => {})
      const i = Math.floor(Math.random() * count)
      const hub = hubs[i]
      if (over.signal.aborted || !hub || alive().length <= spared) continue
      hubs[i] = undefined
      await hub.kill()
      kills++
      const back: Promise<void> = start().then((again) => {
        hubs[i] = again
        returning.delete(back)
      })
      returning.add(back)
    }
    await Promise.all(returning)
  }

  const alive = () => hubs.filter((hub) => hub !== undefined)

  return {
    get kills() {
      return kills
    },
    /** One that lives, if any does. */
    any: () => alive()[Math.floor(Math.random() * alive().length)],
    /** Before anybody is killed: all. */
    all: alive,
    harass(everyMs: number, { spared = 0 } = {}) {
      killer = killing(everyMs, spared)
    },
    /** Everybody comes back, and nobody is killed any more. */
    async relent() {
      over.abort()
      await killer
    },
    stop: () => Promise.all(hubs.map((hub) => hub?.stop())),
  }
}

/** A call to the hub, which some instance answers in the end. */
export type AskHub = (method: string, path: string, body?: unknown, key?: string) => Promise<unknown>

/** As a client does that loses nothing: what nobody answered is sent again, to another instance. */
export async function askAny(
  any: () => { url: string } | undefined,
  method: string,
  path: string,
  body?: unknown,
  key?: string,
): Promise<unknown> {
  let last = ''
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; await sleep(100)) {
    const hub = any()
    if (!hub) continue
    try {
      const reply = await fetch(hub.url + path, {
        method,
        headers: {
          ...{ authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
          ...(key !== undefined && { 'idempotency-key': key }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(30_000),
      })
      const text = await reply.text()
      if (reply.ok) return text ? JSON.parse(text) : undefined
      last = `${reply.status} ${text}`
      if (reply.status < 500 && ![408, 409, 429].includes(reply.status)) break
    } catch (error) {
      last = String(error)
    }
  }
  throw new Error(`${method} ${path}: ${last}`)
}
