import type { CompletionRecord } from '../completions/completion-record.ts'

/** What was asked and answered, as the log keeps it. */
export interface LoggedContent {
  /** JSON of the messages, or of the reference to a stored prompt. */
  messages: string
  /** JSON of the answer's messages; null where this call did not see the whole answer. */
  answer: string | null
  /** Only the beginning is kept. */
  messages_cut: boolean
  answer_cut: boolean
}

/** Characters that are kept of each. */
export const MOST_CHARACTERS = 16_384

export function contentOf({ request, response }: CompletionRecord): LoggedContent {
  const { messages, prompt } = request
  const asked = cut(toText(messages ?? prompt ?? null))
  const answered = response === undefined ? undefined : cut(toText(answerOf(response)))
  return {
    messages: asked.text,
    answer: answered?.text ?? null,
    ...{ messages_cut: asked.isCut, answer_cut: answered?.isCut ?? false },
  }
}

/** Of a `chat.completion`. */
function answerOf(response: string): unknown {
  const { choices } = JSON.parse(response) as { choices?: { message?: unknown }[] }
  return choices?.map(({ message }) => message) ?? null
}

const toText = (value: unknown) => JSON.stringify(value, (_, part) => withoutSecrets(part))

function cut(text: string) {
  const isCut = text.length > MOST_CHARACTERS
  // Half of a surrogate pair is no text.
  return { text: isCut ? text.slice(0, MOST_CHARACTERS).replace(/[\ud800-\udbff]$/, '') : text, isCut }
}

/** Images and files say nothing to who reads a log, and what looks like a key of a service must not lie there. By best effort. */
function withoutSecrets(value: unknown): unknown {
  if (typeof value !== 'string') return value
  if (BASE64.test(value)) return `[${value.length} characters of base64]`
  return value
    .replace(DATA_URL, (url, type: string) => `[${url.length} characters of ${type || 'data'}]`)
    .replace(KEY, '[a key]')
}

const BASE64 = /^[A-Za-z0-9+/_-]{256,}={0,2}$/
const DATA_URL = /data:([\w.+-]+\/[\w.+-]+)?(?:;[\w=.-]+)*;base64,[A-Za-z0-9+/=_-]*/g
const KEY =
  /\b(?:sk-|hub_|gh[pousr]_|github_pat_|xox[abeprs]-|AIza|AKIA|whsec_)[A-Za-z0-9_.+/=-]{16,}|\bBearer +[\w.~+/=-]{16,}/g
