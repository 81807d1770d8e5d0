import { randomBytes } from 'node:crypto'

/** A random id: 128 bits, base64url. */
export const newId = () => randomBytes(16).toString('base64url')
