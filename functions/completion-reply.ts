import type { Context } from 'hono'
import { fromChunks, isUsageChunk, toChunks } from '../shared/completions/completion-chunks.ts'
import type { CompletionRequest } from '../shared/completions/completion-look.ts'
import type { Completed } from '../shared/completions/completions.ts'
import { readCompleted } from '../shared/completions/read-completed.ts'
import { toHubError } from '../shared/errors.ts'
import type { App } from './deps.ts'

/** The answer as one `chat.completion`: a stored or passed-on one byte for byte. */
export async function renderJson(c: Context<App>, completed: Completed): Promise<Response> {
  const body = await readCompleted(completed, c.req.raw.signal)
  return c.body(body, 200, headersOf(completed, 'application/json'))
}

/**
 * The answer as server-sent events. What fails before the first event is an HTTP error, after it an error event.
 *
 * @param conclude given the whole `chat.completion`, makes one more event before `[DONE]`
 */
export async function renderStream(
  c: Context<App>,
  completed: Completed,
  request: CompletionRequest,
  conclude?: (response: string) => Promise<string>,
): Promise<Response> {
  const includeUsage = request.stream_options?.include_usage === true
  const headers = headersOf(completed, 'text/event-stream; charset=utf-8')
  if (completed.kind === 'hit') {
    const { response } = completed.entry
    const last = conclude ? [await conclude(response)] : []
    const events = [...toChunks(response, { includeUsage }), ...last, '[DONE]'].map(toEvent)
    return c.body(events.join(''), 200, headers)
  }
  const { answer } = completed
  return renderEvents(
    c,
    headers,
    async function* (signal) {
      for await (const data of readChunks(answer.read({ signal }), includeUsage, conclude))
        yield toEvent(data)
      yield toEvent('[DONE]')
    },
    (error) => toEvent(JSON.stringify(toHubError(error))),
  )
}

/**
 * Server-sent events as `read` yields their text. What fails before the first one is an HTTP error; after it `failed` makes the last
 * events of it.
 *
 * @param read is told by the signal that the caller is gone
 */
export async function renderEvents(
  c: Context<App>,
  headers: Record<string, string>,
  read: (signal: AbortSignal) => AsyncGenerator<string, void>,
  failed: (error: unknown) => string,
): Promise<Response> {
  const left = new AbortController()
  const events = read(left.signal)
  const leave = () => {
    left.abort()
    void events.return(undefined)
  }
  // An abort that has happened is not told again; a generator that is returned before it began would not clean up.
  if (c.req.raw.signal.aborted) left.abort()
  else c.req.raw.signal.addEventListener('abort', leave, { once: true })
  const first = await events.next()
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      if (!first.done) controller.enqueue(encoder.encode(first.value))
    },
    async pull(controller) {
      try {
        const { done, value } = await events.next()
        if (!done) return controller.enqueue(encoder.encode(value))
      } catch (error) {
        controller.enqueue(encoder.encode(failed(error)))
      }
      c.req.raw.signal.removeEventListener('abort', leave)
      controller.close()
    },
    cancel: leave,
  })
  return c.body(body, 200, headers)
}

async function* readChunks(
  pieces: ReturnType<Extract<Completed, { kind: 'answer' }>['answer']['read']>,
  includeUsage: boolean,
  conclude?: (response: string) => Promise<string>,
) {
  const read: string[] = []
  for await (const { form, data } of pieces) {
    for (const chunk of form === 'chunk' ? [data] : toChunks(data, { includeUsage: true })) {
      if (conclude) read.push(chunk)
      if (includeUsage || !isUsageChunk(chunk)) yield chunk
    }
  }
  if (conclude) yield await conclude(fromChunks(read))
}

export function headersOf(completed: Completed, type: string): Record<string, string> {
  const headers: Record<string, string> = { ...completed.headers, 'Content-Type': type }
  if (completed.kind === 'hit') headers.Age = String(completed.ageSeconds)
  if (type.startsWith('text/')) headers['Cache-Control'] = 'no-cache'
  return headers
}

const toEvent = (data: string) => `data: ${data.replaceAll('\n', '\ndata: ')}\n\n`
