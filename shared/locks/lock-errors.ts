import { HubError } from '../errors.ts'

/** Of whoever holds a lock. */
export interface Held {
  token: number
  /** `key:<id>` or `local`. */
  by: string
  owner?: string
}

export const badName = () =>
  new HubError({
    code: 'invalid_value',
    status: 400,
    message: 'name: must be 1 to 64 of A-Z a-z 0-9 _ . -',
    param: 'name',
  })

/** Without a holder it is free, but others came first. */
export const held = (name: string, holder: Held | undefined, leftMs: number) => {
  const seconds = Math.max(0.1, Math.ceil(leftMs / 100) / 10)
  return new HubError({
    code: 'lock_held',
    status: 409,
    message: holder
      ? `The lock ${name} is held by ${nameOf(holder)} with token ${holder.token}, for another ${seconds} s unless it is released or renewed. Try again then, or wait for it: \`wait_seconds\`.`
      : `The lock ${name} is about to be taken by others who wait for it. Wait for it too: \`wait_seconds\`.`,
    param: 'name',
    retryAfterSeconds: holder ? seconds : 1,
  })
}

export const isHeld = (error: unknown) => error instanceof HubError && error.code === 'lock_held'

/** `highest`: of the tokens that were ever given. */
export const lost = (name: string, token: number, holder: Held | undefined, highest: number) => {
  const now = holder
    ? `${nameOf(holder)} holds it with token ${holder.token}.`
    : highest > token
      ? `Token ${highest} was given after it.`
      : 'Its time was over.'
  const message = `Token ${token} of the lock ${name} is lost. ${now} What you do under it may be refused: stop, and acquire the lock again.`
  return new HubError({ code: 'lock_lost', status: 412, message, param: 'token' })
}

export const otherRequest = () =>
  new HubError({
    code: 'idempotency_mismatch',
    status: 422,
    message: 'This Idempotency-Key acquired the lock with another body. Send the same one, or another key.',
  })

const nameOf = ({ by, owner }: Held) => (owner === undefined ? by : `${owner} (${by})`)
