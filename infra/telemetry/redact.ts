const HIDDEN = '[redacted]'

/** Fields that are secret whatever they hold. */
const SECRET_FIELD =
  /^(?:authorization|proxy-authorization|cookie|set-cookie|(?:x-)?api[-_]?key|password|secret|token|credential|.*[-_](?:secret|token|password|api[-_]?key))$/i
/** Fields that hold what people wrote. */
const CONTENT_FIELD =
  /^(?:messages|prompt|input|inputs|content|body|request|response|arguments|output|text|data|document|query)$/i

/** Secrets within a text. Each is bounded and looks at no character twice: texts of strangers come here. */
const SECRETS: [RegExp, string][] = [
  [/\b(Bearer|Basic|Digest)\s+[\w.~+/=-]{4,}/gi, `$1 ${HIDDEN}`],
  [/\bhub_[\w.-]{8,}/g, `hub_${HIDDEN}`],
  // OpenAI, Anthropic, Stripe, Standard Webhooks, Groq, GitHub, Slack, Google.
  [/\b(sk|pk|rk|whsec|gsk|ghp|gho|github_pat|xox[a-z]|hf|r8)[-_][\w-]{4,}/g, `$1-${HIDDEN}`],
  [/\bAIza[\w-]{20,}/g, HIDDEN],
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, HIDDEN],
  // What stands before the host of a URL. A password may hold an @ where nobody encoded it.
  [/\b([a-z][a-z\d+.-]{0,30}:\/\/)[^\s/?#"'<>]{1,500}@/gi, `$1${HIDDEN}@`],
  [
    /([?&](?:[\w.-]{0,40}(?:token|key|secret|password|passwd|signature|credential)|sig|auth|code|access)=)[^&\s#"'<>]+/gi,
    `$1${HIDDEN}`,
  ],
  [
    /(["']?\b(?:authorization|x-api-key|api[-_]?key|password|passwd|client_secret|access_token|refresh_token|set-cookie|cookie)["']?\s{0,3}[:=]\s{0,3}["']?)(?!\[redacted|Bearer|Basic)[^\s"',;}]+/gi,
    `$1${HIDDEN}`,
  ],
]

/** What another server said of a call: providers quote prompts, handlers quote events. */
const QUOTED = /(\b(?:answered|failed with) \d{3}): [\s\S]*/

/**
 * Takes out of a log line what must not be kept: secrets always; what people wrote, and what other servers say of it, unless
 * `showsContent`.
 */
export function redact(value: unknown, showsContent = false, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value, showsContent)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Error) return redactText(`${value.name}: ${value.message}`, showsContent)
  if (value instanceof URL) return redactText(value.href, showsContent)
  if (depth > DEEPEST) return HIDDEN
  if (Array.isArray(value)) return value.map((one) => redact(one, showsContent, depth + 1))
  const pairs = value instanceof Headers || value instanceof Map ? [...value] : Object.entries(value)
  return Object.fromEntries(
    pairs.map(([name, one]) => {
      const isHidden = SECRET_FIELD.test(name) || (!showsContent && CONTENT_FIELD.test(name))
      return [name, isHidden && one !== undefined ? HIDDEN : redact(one, showsContent, depth + 1)]
    }),
  )
}

const DEEPEST = 8
const LONGEST = 16_384

function redactText(text: string, showsContent: boolean): string {
  let shown = text.length > LONGEST ? `${text.slice(0, LONGEST).toWellFormed()}…` : text
  if (!showsContent) shown = shown.replace(QUOTED, `$1: ${HIDDEN}`)
  for (const [pattern, instead] of SECRETS) shown = shown.replace(pattern, instead)
  return shown
}
