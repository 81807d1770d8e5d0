import { createHmac, randomBytes } from 'node:crypto'
import { HubError } from '../errors.ts'

export interface WebhookMessage {
  /** The same for every attempt: by it a receiver drops doubles. */
  id: string
  /** Of this attempt, Unix ms. */
  at: number
  /** As it is sent. */
  body: string
  /** `whsec_` and base64, or base64 alone. While secrets change: both, the newer first. */
  secrets: readonly string[]
}

/**
 * Headers of a webhook by Standard Webhooks 1.0; without a secret it is not signed. Throws 400 for a secret that is not base64.
 *
 * @example signWebhook({ id: 'msg_1', at: Date.now(), body, secrets: ['whsec_…'] })
 */
export function signWebhook({ id, at, body, secrets }: WebhookMessage): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000))
  const headers = { 'webhook-id': id, 'webhook-timestamp': timestamp }
  if (secrets.length === 0) return headers
  const signatures = secrets.map((secret) => `v1,${hmac(secret, `${id}.${timestamp}.${body}`)}`)
  return { ...headers, 'webhook-signature': signatures.join(' ') }
}

/** 256 random bits. */
export const newWebhookSecret = () => PREFIX + randomBytes(32).toString('base64')

/** The bytes that a secret stands for. Throws 400 where it is not base64 of 16 to 128 bytes. */
export function webhookSecretBytes(secret: string, param = 'secret'): Buffer {
  const text = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret
  const bytes = Buffer.from(text, 'base64')
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(text)
  if (isBase64 && bytes.length >= 16 && bytes.length <= 128) return bytes
  const message = `${param} must be \`whsec_\` and base64 of 24 to 64 random bytes (Standard Webhooks).`
  throw new HubError({ code: 'invalid_value', status: 400, message, param })
}

const PREFIX = 'whsec_'

const hmac = (secret: string, text: string) =>
  createHmac('sha256', webhookSecretBytes(secret)).update(text).digest('base64')
