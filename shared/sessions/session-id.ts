import { hash, randomBytes } from 'node:crypto'

/**
 * `hubs_<user><handle><secret>`: whose session it is (96 bits of a hash), which of that user's, and 256 bits that prove it. Redis holds
 * only the SHA-256 of the whole.
 */
export interface SessionId {
  user: string
  handle: string
  /** SHA-256 of the whole id, hex. */
  hash: string
}

const SHAPE = /^hubs_([\w-]{16})([\w-]{16})[\w-]{43}$/

export const toSessionId = (user: string, handle: string, secret: string) => `hubs_${user}${handle}${secret}`

/** `undefined` for what cannot be one. */
export function readSessionId(id: string): SessionId | undefined {
  const [, user, handle] = SHAPE.exec(id) ?? []
  return user && handle ? { user, handle, hash: hash('sha256', id) } : undefined
}

export const newSecret = () => randomBytes(32).toString('base64url')
export const newHandle = () => randomBytes(12).toString('base64url')
export const HANDLE = /^[\w-]{16}$/

/** 96 bits: a tenant's users do not meet by chance. */
export const userHash = (tenant: string, user: string) =>
  hash('sha256', `session\n${tenant}\n${user}`, 'base64url').slice(0, 16)

/** A text without the session ids in it: whoever reads one may use it. */
export const withoutSessionIds = (text: string) => text.replace(/hubs_[\w-]{16,}/g, 'hubs_…')
