import { HubError } from '../errors.ts'

/** What a holder of a lock sends with a write. */
export interface Fence {
  lock: string
  /** Of its acquisition. Whoever acquired the lock later has a higher one. */
  token: number
}

/** Of a write script that honours a fence: two arguments, empty without one. */
export const fenceArgs = (fence?: Fence): [lock: string, token: string] =>
  fence ? [fence.lock, String(fence.token)] : ['', '']

/** 412: a write with a lower token than the resource has seen. Nothing was written, and the same write never will be. */
export function lockLost({ lock, token }: Fence, seen: number): HubError {
  const message = `The lock ${lock} is lost: its holder with token ${seen} wrote here after token ${token} was given. Acquire it again, and read what is there before you write.`
  return new HubError({ code: 'lock_lost', status: 412, message, param: 'x-hub-lock' })
}
