import { createParser } from 'eventsource-parser'
import type { Silence } from './silence.ts'

/** The other side sent more than fits into the memory we give it. */
export class TooLargeError extends Error {
  override name = 'TooLargeError'
}

/** The body as text. Past `maxBytes` it throws `TooLargeError`, or stops there when told to `cut`. */
export async function readText(
  response: Response,
  { maxBytes, cut = false, silence }: { maxBytes: number; cut?: boolean; silence?: Silence },
): Promise<string> {
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  while (reader) {
    silence?.expect()
    const { value, done } = await reader.read()
    silence?.heard()
    if (done) break
    bytes += value.length
    text += decoder.decode(value, { stream: true })
    if (bytes <= maxBytes) continue
    await reader.cancel()
    if (cut) return text
    throw new TooLargeError(`a body of more than ${maxBytes} bytes`)
  }
  return text + decoder.decode()
}

export interface EventReader {
  /** The `data` of the events that came next, or `undefined` after the last one. */
  read(): Promise<string[] | undefined>
  /** Whether `[DONE]` came. What an end without it cut off is no event. */
  readonly complete: boolean
}

/** Reads server-sent events in batches as they arrive: a generator would cost one more turn for each. */
export function createEventReader(
  response: Response,
  { maxChars, silence }: { maxChars: number; silence: Silence },
): EventReader {
  const reader = response.body!.getReader()
  const decoder = new TextDecoder()
  let batch: string[] = []
  let complete = false
  let ended = false
  const parser = createParser({
    maxBufferSize: maxChars,
    onEvent({ data }) {
      if (data === '[DONE]') complete = true
      else if (!complete && data !== '') batch.push(data)
    },
    onError(error) {
      if (error.type === 'max-buffer-size-exceeded')
        throw new TooLargeError(`a line of more than ${maxChars} characters`)
    },
  })
  return {
    get complete() {
      return complete
    },
    async read() {
      if (complete && !ended) await endSoon(reader)
      if (complete || ended) return undefined
      batch = []
      silence.expect()
      const { value, done } = await reader.read()
      silence.heard()
      ended = done
      parser.feed(done ? '\n\n' : decoder.decode(value, { stream: true }))
      return ended ? undefined : batch
    },
  }
}

/** The body's end mostly follows `[DONE]` at once; reading it keeps the connection for the next call. */
async function endSoon(reader: ReadableStreamDefaultReader<Uint8Array>) {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, 50)
  })
  const end = reader.read().then(
    ({ done }) => done,
    () => true,
  )
  const ended = await Promise.race([end, late])
  clearTimeout(timer)
  if (!ended) await reader.cancel().catch(() => {})
}
