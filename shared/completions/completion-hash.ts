import { hash } from 'node:crypto'
import type { ChatRequest, ChatTarget } from '../ports/chat.ts'

/** Raise it when the meaning of an entry or of its hash changes: old entries are then never read again. */
const VERSION = 'v1'

/** Of requests that are asked again and again, the same object each time (see `json`). */
const known = new WeakMap<ChatRequest, { target: ChatTarget; hash: string }>()

/**
 * SHA-256 (hex) of what can change the answer: the request as JSON with sorted keys under its resolved model, and
 * the provider's credential. The tenant is in the key itself.
 */
export function completionHash(target: ChatTarget, request: ChatRequest): string {
  const before = known.get(request)
  if (before?.target === target) return before.hash
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
    prompt,
    ...rest
  } = request
  const canonical = canonicalJson(rest)
  const hashed = hash(
    'sha256',
    `${VERSION}\n${target.scope}\n${target.provider}/${target.model}\n${canonical}`,
  )
  known.set(request, { target, hash: hashed })
  return hashed
}

/**
 * JSON with sorted keys. Not RFC 8785, which refuses strings that are no UTF-16 (half an emoji, cut by a client): here they are only
 * another text.
 */
export const canonicalJson = (value: unknown): string => JSON.stringify(sorted(value)) ?? 'null'

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, part]) => [key, sorted(part)]))
}
