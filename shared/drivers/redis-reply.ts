import { RedisReplyError } from '../errors.ts'

/** Neither client keeps a larger integer exactly: an error is better than a silently rounded number. */
export function toInteger(value: number) {
  if (Number.isSafeInteger(value)) return value
  return new RedisReplyError('ERR integer reply beyond 2^53 cannot be represented: read it as a string')
}
