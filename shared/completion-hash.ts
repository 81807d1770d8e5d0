import { hash } from 'node:crypto'
import canonicalize from 'canonicalize'
import type { ChatRequest, ChatTarget } from './ports/chat.ts'

/** Raise it when the meaning of an entry or of its hash changes: old entries are then never read again. */
const VERSION = 'v1'

/**
 * SHA-256 (hex) of what can change the answer: canonical JSON (RFC 8785) of the request under its resolved model, and
 * the provider's credential. The tenant is in the key itself.
 */
export function completionHash(target: ChatTarget, request: ChatRequest): string {
  // Fields that cannot change the answer.
  const {
    model,
    stream,
    stream_options,
    user,
    metadata,
    store,
    safety_identifier,
    prompt_cache_key,
    ...rest
  } = request
  const canonical = canonicalize(rest)
  return hash('sha256', `${VERSION}\n${target.scope}\n${target.provider}/${target.model}\n${canonical}`)
}
