import { HubError } from '../errors.ts'

/** Of a value, as JSON. */
export const MOST_VALUE_BYTES = 64 * 1024
/** Of a topic. */
export const MOST_FIELDS = 1_000

export const badName = (param: string, why: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${why}`, param })

export const unknownTopic = (topic: string) =>
  new HubError({
    code: 'topic_not_found',
    status: 404,
    message: `Nothing is known of \`${topic}\`. PUT /v1/knowledge/${topic} writes it.`,
    param: 'topic',
  })

export const versionConflict = (topic: string, field: string, version: number) =>
  new HubError({
    code: 'version_conflict',
    status: 409,
    message: `\`${field}\` of \`${topic}\` has version ${version}${version === 0 ? ': it is not there' : ''}. Read it again, and write with the version that you saw.`,
    param: field,
  })

export const tooManyFacts = (topic: string) =>
  new HubError({
    code: 'too_many_facts',
    status: 409,
    message: `\`${topic}\` can have ${MOST_FIELDS} fields. Remove some (null), or use another topic.`,
  })

export const factTooLarge = (field: string) =>
  new HubError({
    code: 'fact_too_large',
    status: 413,
    message: `${field}: more than ${MOST_VALUE_BYTES} bytes. Put it elsewhere, and say where it is.`,
    param: field,
  })

export const otherWrite = () =>
  new HubError({
    code: 'idempotency_mismatch',
    status: 422,
    message: 'This Idempotency-Key was used with another write. Send the same one, or another key.',
  })
