import { HubError } from '../errors.ts'

/** The same for an id that never was one, has expired or was ended: nothing tells them apart. */
export const noSession = () =>
  new HubError({
    code: 'session_not_found',
    status: 404,
    message: 'There is no such session, or it has ended. Begin another: POST /v1/sessions.',
    param: 'id',
  })

export const rotatedAlready = () =>
  new HubError({
    code: 'session_rotated',
    status: 409,
    message:
      'This session has a newer id already, and this one holds only for requests in flight. Use the newer one.',
    param: 'id',
  })

export const dataTooLarge = (mostBytes: number) =>
  new HubError({
    code: 'session_too_large',
    status: 413,
    message: `data: more than ${mostBytes} bytes, each value counted with its path. Keep what is large elsewhere, and its id here.`,
    param: 'data',
  })

export const otherVersion = (version: number) =>
  new HubError({
    code: 'version_conflict',
    status: 412,
    message: `If-Match: it is at version ${version}. Read it again, and change that.`,
    param: 'if-match',
  })

export const otherSession = () =>
  new HubError({
    code: 'idempotency_mismatch',
    status: 422,
    message: 'This Idempotency-Key was used with another body. Send the same body, or another key.',
  })

export const endedSince = () =>
  new HubError({
    code: 'session_ended',
    status: 409,
    message:
      'The session that this Idempotency-Key made has ended since, or has a newer id. Send another key.',
  })
