import { createHash } from 'node:crypto'
import { DELIVERIES_STREAM, goneWebhooksKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { noSecretKey, type Secrets } from '../secrets.ts'
import { send } from '../send.ts'

/** Signed calls out (Standard Webhooks), retried by its schedule until they are taken or given up. */
export interface Deliveries {
  /**
   * Queues one; resolves once Redis has it. `id` makes it idempotent for the receiver (`webhook-id`). The body is
   * `{type, timestamp, data}`. Without a secret it is not signed. Throws 501 for a secret without HUB_SECRET_KEY.
   */
  send(tenant: string, delivery: Delivery): Promise<void>
  /** A receiver that answered 410 is called no more until this. */
  enable(tenant: string, url: string): Promise<void>
}

export interface Delivery {
  id: string
  url: string
  /** `whsec_…` */
  secret?: string
  /** JSON. */
  payload: unknown
  type: string
  /** Plain HTTP and addresses that are not public: an admin's to decide. */
  allowPrivate?: boolean
}

export interface DeliveriesOptions {
  redis: Redis
  secrets?: Secrets
  clock: Clock
  /** Wakes who delivers. */
  onQueued(): void
}

export function createDeliveries({ redis, secrets, clock, onQueued }: DeliveriesOptions): Deliveries {
  return {
    async send(tenant, { id, url, secret, payload, type, allowPrivate }) {
      if (secret !== undefined && !secrets) throw noSecretKey('webhook secrets')
      const body = JSON.stringify({ type, timestamp: new Date(clock.now()).toISOString(), data: payload })
      const fields = {
        ...{ tenant, id, url, body },
        ...(secret !== undefined && { secret: secrets!.seal(secret, secretContext(tenant, url)) }),
        ...(allowPrivate && { private: '1' }),
      }
      await send(redis, ['XADD', DELIVERIES_STREAM, '*', ...Object.entries(fields).flat()], PATIENT)
      onQueued()
    },

    async enable(tenant, url) {
      await send(redis, ['HDEL', goneWebhooksKey(tenant), urlHash(url)], PATIENT)
    },
  }
}

/** Of a secret that waits in the stream: it opens for no other receiver. */
export const secretContext = (tenant: string, url: string) => `delivery/${tenant}/${url}`

/** Names a receiver: a URL may hold a token, and is long. */
export const urlHash = (url: string) => createHash('sha256').update(url).digest('base64url')

const PATIENT = { timeoutMs: 2_000 }
