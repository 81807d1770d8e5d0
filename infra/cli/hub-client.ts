import { setTimeout as sleep } from 'node:timers/promises'
import { type CommandCall, textOption, UsageError } from './command.ts'

/** The hub's answer other than success, in its own words. */
export class HubReplyError extends Error {
  override name = 'HubReplyError'
  readonly status: number
  readonly code: string
  /** Path of what was wrong, e.g. `documents[3].text`. */
  readonly param: string | undefined

  constructor(status: number, error: { message?: string; code?: string; param?: string | null } = {}) {
    super(error.message ?? `The hub answered ${status}.`)
    this.status = status
    this.code = error.code ?? String(status)
    this.param = error.param ?? undefined
  }
}

export interface HubRequest {
  method?: string
  /** JSON, unless it is bytes, which go as they are. */
  body?: unknown
  headers?: Record<string, string>
}

/** Longest wait between two attempts. */
const LONGEST_WAIT_MS = 30_000
const ATTEMPTS = 8

/** Speaks to a hub; waits and asks again where it is busy (429, 502, 503, 504) or out of reach, as often as `Retry-After` says when. */
export function createHubClient(call: CommandCall) {
  const { env, signal } = call
  const base = (textOption(call, 'url') ?? env.HUB_URL ?? 'http://127.0.0.1:8787').replace(/\/+$/, '')
  const key = keyOf(call)
  if (!URL.canParse(base)) throw new UsageError(`--url: ${base} is no URL.`)
  let reached = false

  async function send(path: string, { method = 'GET', body, headers }: HubRequest = {}): Promise<Response> {
    const isBytes = body instanceof Uint8Array
    const init: RequestInit = {
      method,
      signal,
      headers: {
        ...(key && { authorization: `Bearer ${key}` }),
        ...(body !== undefined && !isBytes && { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : isBytes ? (body as BodyInit) : JSON.stringify(body),
    }
    for (let attempt = 1; ; attempt++) {
      const backOff = Math.min(500 * 2 ** (attempt - 1), LONGEST_WAIT_MS) * (0.5 + Math.random() / 2)
      try {
        const response = await fetch(base + path, init)
        reached = true
        if (response.ok) return response
        const isBusy = [429, 502, 503, 504].includes(response.status)
        const reply = (await response.json().catch(() => ({}))) as { error?: object }
        if (!isBusy || attempt >= ATTEMPTS) throw new HubReplyError(response.status, reply.error)
        const asked = Number(response.headers.get('retry-after') ?? 0) * 1_000
        await sleep(Math.max(backOff, Math.min(asked, LONGEST_WAIT_MS)), undefined, { signal })
      } catch (error) {
        if (signal.aborted || error instanceof HubReplyError) throw error
        const reason = (error as Error & { cause?: Error }).cause?.message || (error as Error).message
        const message = `There is no hub at ${base} (${reason}). Start it with \`npm start\`, or name another with --url.`
        if (!reached || attempt >= ATTEMPTS) throw new UsageError(message)
        await sleep(backOff, undefined, { signal })
      }
    }
  }

  return {
    base,
    send,
    async json<T>(path: string, request?: HubRequest): Promise<T> {
      return (await send(path, request)).json() as Promise<T>
    },
  }
}

export const keyOf = (call: CommandCall): string | undefined =>
  textOption(call, 'key') ?? call.env.HUB_KEY ?? call.env.HUB_ADMIN_KEY

export type HubClient = ReturnType<typeof createHubClient>

export interface IndexReply {
  dimensions: number
  embedding_model: string | null
}

/** Makes the index where it is missing; what is there stays as it is. */
export async function ensureIndex(
  hub: HubClient,
  name: string,
  settings: () => object,
): Promise<IndexReply & { created: boolean }> {
  const path = `/v1/indexes/${encodeURIComponent(name)}`
  try {
    return { ...(await hub.json<IndexReply>(path)), created: false }
  } catch (error) {
    if (!(error instanceof HubReplyError) || error.status !== 404) throw error
  }
  const body = settings()
  return { ...(await hub.json<IndexReply>(path, { method: 'PUT', body })), created: true }
}
