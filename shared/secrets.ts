import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { HubError } from './errors.ts'

export interface Secrets {
  /** AES-256-GCM. `context` says whose secret it is: sealed for one place, it opens at no other. */
  seal(text: string, context: string): string
  /** Throws when it was sealed with another key or for another context. */
  open(sealed: string, context: string): string
}

const VERSION = 'v1'

/** All that was sealed within a text. */
export const SEALED = /\bv1\.[\w-]{16}\.[\w-]{22,}/g

/**
 * Keeps secrets in Redis unreadable to who has no `HUB_SECRET_KEY`.
 *
 * @example createSecrets(key).seal('sk-…', 'credential/acme/openai/main') // 'v1.<nonce>.<text and tag>', base64url
 */
export function createSecrets(key: string): Secrets {
  const derived = new Uint8Array(hkdfSync('sha256', key, '', 'redis-ai-hub secrets', 32))
  return {
    seal(text, context) {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', derived, nonce).setAAD(Buffer.from(context))
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return [VERSION, nonce.toString('base64url'), sealed.toString('base64url')].join('.')
    },
    open(sealed, context) {
      const [version, nonce = '', text = ''] = sealed.split('.')
      if (version !== VERSION) throw new Error(`A secret was sealed as ${version}, not ${VERSION}`)
      const bytes = Buffer.from(text, 'base64url')
      const decipher = createDecipheriv('aes-256-gcm', derived, Buffer.from(nonce, 'base64url'))
      decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-16))
      return decipher.update(bytes.subarray(0, -16), undefined, 'utf8') + decipher.final('utf8')
    },
  }
}

export const noSecretKey = (what: string) =>
  new HubError({
    code: 'secret_key_missing',
    status: 501,
    message: `The hub stores no ${what} without HUB_SECRET_KEY. Set it, to 16 characters or more, on every instance.`,
  })
