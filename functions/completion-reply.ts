import type { Context } from 'hono'
import { fromChunks, isUsageChunk, toChunks } from '../shared/completions/completion-chunks.ts'
import type { CompletionRequest } from '../shared/completions/completion-look.ts'
import type { Completed } from '../shared/completions/completions.ts'
import { toHubError } from '../shared/errors.ts'
import type { App } from './deps.ts'

/** The answer as one `chat.completion`: a stored or passed-on one byte for byte. */
export async function renderJson(c: Context<App>, completed: Completed): Promise<Response> {
  const headers = headersOf(completed, 'application/json')
  if (completed.kind === 'hit') return c.body(completed.entry.response, 200, headers)
  let chunks: string[] = []
  let whole: string | undefined
  const restart = () => {
    chunks = []
    whole = undefined
  }
  for await (const { form, data } of completed.answer.read({
    signal: c.req.raw.signal,
    onRestart: restart,
  })) {
    if (form === 'completion') whole = data
    else chunks.push(data)
  }
  return c.body(whole ?? fromChunks(chunks), 200, headers)
}

/** The answer as server-sent events. What fails before the first event is an HTTP error, after it an error event. */
export async function renderStream(
  c: Context<App>,
  completed: Completed,
  request: CompletionRequest,
): Promise<Response> {
  const includeUsage = request.stream_options?.include_usage === true
  const headers = headersOf(completed, 'text/event-stream; charset=utf-8')
  if (completed.kind === 'hit') {
    const events = [...toChunks(completed.entry.response, { includeUsage }), '[DONE]'].map(toEvent)
    return c.body(events.join(''), 200, headers)
  }
  const left = new AbortController()
  const chunks = readChunks(completed.answer.read({ signal: left.signal }), includeUsage)
  const leave = () => {
    left.abort()
    void chunks.return(undefined)
  }
  // An abort that has happened is not told again; a generator that is returned before it began would not clean up.
  if (c.req.raw.signal.aborted) left.abort()
  else c.req.raw.signal.addEventListener('abort', leave, { once: true })
  const first = await chunks.next()
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      if (!first.done) controller.enqueue(encoder.encode(toEvent(first.value)))
    },
    async pull(controller) {
      try {
        const { done, value } = await chunks.next()
        controller.enqueue(encoder.encode(toEvent(done ? '[DONE]' : value)))
        if (!done) return
      } catch (error) {
        controller.enqueue(encoder.encode(toEvent(JSON.stringify(toHubError(error)))))
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
) {
  for await (const { form, data } of pieces) {
    for (const chunk of form === 'chunk' ? [data] : toChunks(data, { includeUsage: true })) {
      if (includeUsage || !isUsageChunk(chunk)) yield chunk
    }
  }
}

function headersOf(completed: Completed, type: string): Record<string, string> {
  const headers: Record<string, string> = { ...completed.headers, 'Content-Type': type }
  if (completed.kind === 'hit') headers.Age = String(completed.ageSeconds)
  if (type.startsWith('text/')) headers['Cache-Control'] = 'no-cache'
  return headers
}

const toEvent = (data: string) => `data: ${data.replaceAll('\n', '\ndata: ')}\n\n`
