import { HubError } from '../errors.ts'

export const MOST_BYTES = 256 * 1024
export const MOST_VERSIONS = 100

export const badNamespace = () =>
  new HubError({
    code: 'invalid_value',
    status: 400,
    message: 'namespace: must be 1 to 64 of A-Z a-z 0-9 _ . -',
    param: 'namespace',
  })

export const unknownConfig = (namespace: string) =>
  new HubError({
    code: 'config_not_found',
    status: 404,
    message: `There is no configuration ${namespace}. PUT /v1/config/${namespace} makes one.`,
    param: 'namespace',
  })

export const unknownVersion = (namespace: string, version: number) =>
  new HubError({
    code: 'config_version_not_found',
    status: 404,
    message: `The configuration ${namespace} has no version ${version}, or no longer: the last ${MOST_VERSIONS} are kept. GET /v1/config/${namespace}/history lists them.`,
    param: 'version',
  })

export const versionConflict = (namespace: string, version: number) =>
  new HubError({
    code: 'version_conflict',
    status: 412,
    message:
      version === 0
        ? `There is no configuration ${namespace}. Leave the condition out, or say \`If-None-Match: *\`, to make one.`
        : `The configuration ${namespace} is at version ${version}. Read it, and write with \`If-Match: "${version}"\`.`,
    param: 'if-match',
  })

export const tooContended = (namespace: string) =>
  new HubError({
    code: 'config_contended',
    status: 503,
    message: `Too many write the configuration ${namespace} at this moment. Nothing was written: try again.`,
    retryAfterSeconds: 1,
  })

export const tooLarge = () =>
  new HubError({
    code: 'config_too_large',
    status: 413,
    message: `The values have more than ${MOST_BYTES} bytes as JSON. Put some of them into another namespace.`,
    param: 'values',
  })

export const otherOperation = () =>
  new HubError({
    code: 'idempotency_mismatch',
    status: 422,
    message: 'This Idempotency-Key was used with another request. Send the same one, or another key.',
  })
