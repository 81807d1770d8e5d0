import { hash, randomBytes } from 'node:crypto'
import type { Keyring } from '../hub-keys.ts'
import { sessionKeys, sessionOperationKey } from '../keys.ts'
import { bytesOf, fromLeaves, toChanges, toLeaves } from '../merge-patch.ts'
import type { Argument, Command, Redis, Reply, ScriptCall } from '../ports/redis.ts'
import { createSessionScript, endSessionsScript, useSessionScript } from '../scripts.generated.ts'
import { type Replies, send } from '../send.ts'
import * as errors from './session-errors.ts'
import { newHandle, newSecret, readSessionId, toSessionId, userHash } from './session-id.ts'

/** A session without what proves it. */
export interface Session {
  /** Names it among its user's, stays when it is rotated, and opens nothing. */
  handle: string
  user: string
  data: Readonly<Record<string, unknown>>
  /** Of `data`. */
  version: number
  /** Unix ms, all of them. */
  createdAt: number
  seenAt: number
  /** It ends then unless it is used. */
  idleExpiresAt: number
  /** It ends then. */
  expiresAt: number
}

/** With the id, which is told here and nowhere else. */
export type OpenedSession = Session & { id: string }

export interface NewSession {
  user: string
  data: Readonly<Record<string, unknown>>
  idleMs: number
  absoluteMs: number
}

const MOST_DATA_BYTES = 16_384
export const MOST_SESSIONS = 100
/** Longer than a client that lost the reply takes to ask again. */
const ROTATED_AGAIN_MS = 600_000
const OPERATION_KEPT_MS = 86_400_000
const SLOW = { timeoutMs: 2_000 }

/** Sessions of a tenant's users. All of a user's lie in one hash, so that whatever is done to them is done in one step. */
export function createSessions({ redis, keyring }: { redis: Redis; keyring: Keyring }) {
  /** What a bearer of the id does; reads the reply. Throws 404, and what the operation may throw. */
  function use(tenant: string, id: string, ...operation: Argument[]) {
    const read = readSessionId(id)
    const call: ScriptCall | undefined = read && {
      script: useSessionScript,
      keys: [sessionKeys(tenant, read.user).sessions],
      args: [read.handle, read.hash, ...operation],
    }
    return {
      calls: call ? [call] : [],
      settle(reply: Reply | undefined): Session {
        if (reply instanceof Error) throw reply
        const [outcome, now, user, data, times] = (reply ?? ['none']) as [
          string,
          number,
          string,
          string,
          string,
        ]
        if (outcome === 'ok') return toSession(read!.handle, user, data, times)
        if (outcome === 'rotated') throw errors.rotatedAlready()
        if (outcome === 'conflict') throw errors.otherVersion(now)
        if (outcome === 'full') throw errors.dataTooLarge(MOST_DATA_BYTES)
        throw errors.noSession()
      },
    }
  }

  async function useNow(tenant: string, id: string, ...operation: Argument[]): Promise<Session> {
    const { calls, settle } = use(tenant, id, ...operation)
    return settle(calls[0] && (await send(redis, calls[0], SLOW)))
  }

  return {
    /**
     * Begins a session. With `once` a repeated call finds the one that the first call made. Of `MOST_SESSIONS` the one seen longest ago ends.
     *
     * Errors: 413 `session_too_large`, 422 `idempotency_mismatch`, 409 `session_ended`.
     */
    async create(tenant: string, wanted: NewSession, once?: string): Promise<OpenedSession> {
      const { user, data, idleMs, absoluteMs } = wanted
      const leaves = toLeaves(data)
      if (bytesOf(leaves) > MOST_DATA_BYTES) throw errors.dataTooLarge(MOST_DATA_BYTES)
      const operation = once === undefined ? '' : hash('sha256', once)
      if (operation) await claim(tenant, operation, hash('sha256', JSON.stringify(wanted)))
      const owner = userHash(tenant, user)
      const keys = sessionKeys(tenant, owner)
      // Redis holds the seed alone, which makes no id without the hub's secret.
      const seed = operation && randomBytes(16).toString('base64url')
      const idOf = (handle: string, seed: string) =>
        toSessionId(owner, handle, seed ? keyring.sign('session', `${seed}\n${once}`) : newSecret())
      const handle = newHandle()
      const id = idOf(handle, seed)
      const text = JSON.stringify(leaves)
      const args = [handle, readSessionId(id)!.hash, user, text, idleMs, absoluteMs, MOST_SESSIONS]
      const call = {
        script: createSessionScript,
        keys: [keys.sessions, keys.made(operation)],
        args: [...args, seed, OPERATION_KEPT_MS],
      }
      const reply = (await send(redis, call, SLOW)) as ['ok', number, string] | Known
      if (reply[0] === 'ok') return { id, ...toSession(handle, user, `1 ${text}`, reply[2]) }
      const [, now, first, firstSeed, current, kept, times] = reply
      const firstId = idOf(first, firstSeed)
      if (kept && times && current === readSessionId(firstId)!.hash) {
        const session = toSession(first, user, kept, times)
        if (now < session.idleExpiresAt && now < session.expiresAt) return { id: firstId, ...session }
      }
      throw errors.endedSince()
    },

    /** What the id opens, for a wave of the caller's own; its idle end is put off. `settle` throws 404. */
    ask(tenant: string, id: string): { calls: (Command | ScriptCall)[]; settle(replies: Replies): Session } {
      const { calls, settle } = use(tenant, id, 'see')
      return {
        calls,
        settle(replies) {
          if (replies instanceof Error) throw replies
          return settle(replies[0])
        },
      }
    },

    /** A JSON merge patch of its data. Throws 404, 412 `version_conflict`, 413 `session_too_large`. */
    async patch(
      tenant: string,
      id: string,
      patch: Readonly<Record<string, unknown>>,
      ifVersion?: number,
    ): Promise<Session> {
      const changes = JSON.stringify(toChanges(patch))
      return useNow(tenant, id, 'patch', ifVersion ?? '', MOST_DATA_BYTES, changes)
    },

    /**
     * Another id for the same session. The one before ends at once, or holds `graceMs` longer for what is in flight. With `once` a
     * repeated call gets the same id within ten minutes. Throws 404, 409 `session_rotated`.
     */
    async rotate(tenant: string, id: string, graceMs: number, once?: string): Promise<OpenedSession> {
      const read = readSessionId(id)
      if (!read) throw errors.noSession()
      // Made of the id before, which Redis does not hold either.
      const secret =
        once === undefined ? newSecret() : keyring.sign('session-rotation', `${id}\n${once}\n${graceMs}`)
      const next = toSessionId(read.user, read.handle, secret)
      const { hash } = readSessionId(next)!
      return { id: next, ...(await useNow(tenant, id, 'rotate', hash, graceMs, ROTATED_AGAIN_MS)) }
    },

    /** Throws 404. */
    async end(tenant: string, id: string): Promise<void> {
      await useNow(tenant, id, 'end')
    },

    /** A user's, the latest seen first. */
    async list(tenant: string, user: string): Promise<Session[]> {
      const { sessions } = sessionKeys(tenant, userHash(tenant, user))
      const replies = await redis.wave([['TIME'], ['HGETALL', sessions]], { ...SLOW, near: sessions })
      for (const reply of replies) if (reply instanceof Error) throw reply
      const [time, flat] = replies as [string[], string[]]
      const now = Number(time[0]) * 1_000
      const fields = new Map(flat.flatMap((field, i) => (i % 2 ? [] : [[field, flat[i + 1]!] as const])))
      return [...fields]
        .flatMap(([field, times]) => {
          if (!field.startsWith('t:')) return []
          const handle = field.slice(2)
          return [toSession(handle, user, fields.get(`d:${handle}`)!, times)]
        })
        .filter(({ idleExpiresAt, expiresAt }) => now < idleExpiresAt && now < expiresAt)
        .sort((a, b) => b.seenAt - a.seenAt)
    },

    /**
     * Ends all of a user's sessions, or one of them, or all but one; resolves with how many ended. Throws 404 where there is none to keep, and
     * then none has ended.
     */
    async endAll(tenant: string, user: string, { only = '', except = '' } = {}): Promise<number> {
      const { sessions } = sessionKeys(tenant, userHash(tenant, user))
      const call = { script: endSessionsScript, keys: [sessions], args: [only, except] }
      const ended = (await send(redis, call, SLOW)) as number
      if (ended < 0) throw errors.noSession()
      return ended
    },
  }

  /** An Idempotency-Key is for one body, whosever session that asks for. */
  async function claim(tenant: string, operation: string, wanted: string) {
    const key = sessionOperationKey(tenant, operation)
    const replies = await redis.wave(
      [
        ['SET', key, wanted, 'PX', OPERATION_KEPT_MS, 'NX'],
        ['GET', key],
      ],
      SLOW,
    )
    for (const reply of replies) if (reply instanceof Error) throw reply
    if (replies[1] !== wanted) throw errors.otherSession()
  }
}

export type Sessions = ReturnType<typeof createSessions>

type Known = [
  outcome: 'known',
  now: number,
  handle: string,
  seed: string,
  hash: string | null,
  data: string | null,
  times: string | null,
]

function toSession(handle: string, user: string, data: string, times: string): Session {
  const space = data.indexOf(' ')
  const [createdAt, seenAt, idleMs, expiresAt] = times.split(' ').map(Number) as [
    number,
    number,
    number,
    number,
  ]
  return {
    ...{
      handle,
      user,
      data: fromLeaves(JSON.parse(data.slice(space + 1))),
      version: Number(data.slice(0, space)),
    },
    ...{ createdAt, seenAt, idleExpiresAt: Math.min(seenAt + idleMs, expiresAt), expiresAt },
  }
}
