import { hash } from 'node:crypto'
import { HubError } from '../errors.ts'
import { channelKeys } from '../keys.ts'
import type { Redis } from '../ports/redis.ts'
import { publishMessageScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import { checkOfMessages } from './channels.ts'

export interface RealtimeMessage {
  /** Stream id: what `Last-Event-ID` names. */
  id: string
  /** What clients come back with instead, where that is not the stream id. */
  publicId?: string
  /** JSON. */
  data: string
  type?: string
  /** False: nobody can come back with its id. */
  kept?: false
}

interface NewMessage {
  data: unknown
  /** Up to 64 of A-Z a-z 0-9 _ . : - */
  type?: string
  /** An operation id: sent again with it within a day, the message is not published again, and its first id comes back. */
  once?: string
}

/** Channels: a pub/sub channel for those who listen now, and the stream behind it for those who come later. */
export interface Realtime {
  /**
   * XADD and PUBLISH in one script. Returns the message's id.
   *
   * Errors: 400 `invalid_channel` and `invalid_value`, 413 `message_too_large`, 422 `idempotency_mismatch`, 503.
   */
  publish(tenant: string, channel: string, message: NewMessage): Promise<string>
}

/** What the stream behind a channel keeps: Redis trims whole nodes, so somewhat more. */
export const KEPT = { messages: 10_000, ms: 86_400_000 }

const MOST_BYTES = 64 * 1024

export const MESSAGE_TYPE = /^[A-Za-z0-9_.:-]{1,64}$/

/** Event names that the hub itself says something by. */
const RESERVED_TYPES = ['presence', 'gap', 'end']

export function createRealtime({ redis }: { redis: Redis }): Realtime {
  return {
    async publish(tenant, channel, { data, type, once }) {
      checkOfMessages(channel)
      const text = JSON.stringify(data) ?? 'null'
      if (type !== undefined && (!MESSAGE_TYPE.test(type) || RESERVED_TYPES.includes(type))) throw badType()
      if (new TextEncoder().encode(text).length > MOST_BYTES) throw tooLarge()
      const keys = channelKeys(tenant, channel)
      const fingerprint = once === undefined ? '' : hash('sha256', `${type}\n${text}`)
      const reply = await send(
        redis,
        {
          script: publishMessageScript,
          keys: [keys.stream, keys.sent(once === undefined ? '' : hash('sha256', once))],
          args: [keys.channel, text, type ?? '', KEPT.messages, KEPT.ms, fingerprint],
        },
        { timeoutMs: 2_000 },
      )
      const [id, first] = reply as [string, string]
      if (first !== fingerprint) throw mismatch()
      return id
    },
  }
}

const badType = () =>
  new HubError({
    code: 'invalid_value',
    status: 400,
    message: `type: must be 1 to 64 of A-Z a-z 0-9 _ . : - and none of ${RESERVED_TYPES.join(', ')}`,
    param: 'type',
  })

const tooLarge = () =>
  new HubError({
    code: 'message_too_large',
    status: 413,
    message: `data: more than ${MOST_BYTES} bytes. Store it elsewhere and publish where it is.`,
    param: 'data',
  })

const mismatch = () =>
  new HubError({
    code: 'idempotency_mismatch',
    status: 422,
    message: 'This Idempotency-Key was used with another message. Send the same one, or another key.',
  })
