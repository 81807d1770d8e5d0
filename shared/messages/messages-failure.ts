import type { HubError } from '../errors.ts'

/** By status, as Anthropic names them (docs.anthropic.com, "Errors"). */
const TYPES: Record<number, string> = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
}

/** Anthropic's error that is OpenAI's envelope too. */
export function toMessagesFailure(failure: HubError, requestId?: string) {
  const { status, message, code, param } = failure
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error')
  const error = { type, message, code, param, details: { error_code: code } }
  return { type: 'error' as const, error, request_id: requestId ?? null }
}
