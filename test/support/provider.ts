import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

/** What the mock does with a call; a request's own `mock` field goes before the server's options. */
export interface Behaviour {
  /** The answer; a function is given the number of the call, from 1. */
  text?: string | ((call: number, body: Body) => string)
  /** The answer's parts in a stream; default its words. */
  deltas?: string[]
  /** Before each delta, and before an answer without a stream. */
  delayMs?: number
  /** An HTTP error in OpenAI's envelope. */
  status?: number
  retryAfter?: string
  /** The error's body where OpenAI's envelope is not wanted. */
  errorBody?: unknown
  /** No byte ever: of the head, or after half of the deltas. */
  silent?: 'head' | 'middle'
  /** After half of the deltas: socket destroyed, body ended without `[DONE]`, or an error chunk. */
  cut?: 'destroy' | 'end' | 'error'
  /** An answer of this many characters. */
  size?: number
  toolCalls?: { id?: string; name: string; arguments: string }[]
  /** Raw body in place of the answer, status 200. */
  raw?: string
  contentType?: string
  /** Writes each byte of a stream by itself, as its own packet. */
  bytewise?: boolean
  usage?: object
  /** Of embeddings: another number of them than texts; their length; numbers though base64 is asked for. */
  embeddings?: { count?: number; dimensions?: number; floats?: boolean }
}

export interface ProviderOptions extends Behaviour {
  port?: number
  /** Keep bodies and headers of calls in `requests`; off for benches. */
  record?: boolean
  /** Decides anew for each call. */
  behave?: (call: number, body: Body) => Behaviour | undefined
}

type Body = Record<string, unknown> & { mock?: Behaviour; stream?: boolean; model?: string }

interface Recorded {
  path: string
  headers: IncomingHttpHeaders
  body: Body
}

/**
 * A server that speaks OpenAI's chat completions, JSON and SSE, and its embeddings, and misbehaves as told. `GET /stats` → `{calls, aborted}`.
 *
 * @example const provider = await startProvider({ text: 'hello' }); createChat({ env: { OPENAI_API_KEY: 'x', OPENAI_BASE_URL: provider.url } })
 */
export async function startProvider({ port = 0, record = true, behave, ...always }: ProviderOptions = {}) {
  const requests: Recorded[] = []
  const stats = { calls: 0, aborted: 0 }
  let connections = 0

  const server = createServer((request, response) => {
    if (request.method === 'GET') return void sendJson(response, 200, stats)
    let text = ''
    request.setEncoding('utf8')
    request.on('data', (part: string) => {
      text += part
    })
    request.on('end', () => {
      const body = JSON.parse(text) as Body
      const call = ++stats.calls
      if (record) requests.push({ path: request.url ?? '', headers: request.headers, body })
      const behaviour = { ...always, ...behave?.(call, body), ...body.mock }
      const exchange = { request, response, over: false }
      response.on('close', () => {
        if (!response.writableFinished && !exchange.over) stats.aborted++
        exchange.over = true
      })
      void answer(exchange, call, body, behaviour)
    })
  })
  server.on('connection', () => connections++)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    get count() {
      return stats.calls
    },
    /** Calls whose client left before the answer's end. */
    get aborted() {
      return stats.aborted
    },
    get connections() {
      return connections
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

interface Exchange {
  request: IncomingMessage
  response: ServerResponse
  over: boolean
}

async function answer(exchange: Exchange, call: number, body: Body, behaviour: Behaviour) {
  const { response } = exchange
  const { status, raw, delayMs, silent } = behaviour
  if (silent === 'head') return
  if (status !== undefined) {
    if (behaviour.retryAfter !== undefined) response.setHeader('retry-after', behaviour.retryAfter)
    return sendJson(response, status, behaviour.errorBody ?? envelopes[status] ?? envelopes[500])
  }
  if (raw !== undefined) {
    response.setHeader('content-type', behaviour.contentType ?? 'application/json')
    return response.end(raw)
  }
  if (body.stream) return stream(exchange, call, body, behaviour)
  if (delayMs) await sleep(delayMs)
  if (behaviour.cut === 'destroy') {
    response.setHeader('content-length', 1000)
    response.write('{"choices":')
    return destroySoon(exchange)
  }
  if (exchange.request.url?.includes('/embeddings')) {
    return sendJson(response, 200, toEmbeddings(body as unknown as EmbeddingBody, behaviour))
  }
  const { toolCalls } = behaviour
  const message = {
    role: 'assistant',
    content: toolCalls ? null : toText(call, body, behaviour),
    refusal: null,
  }
  sendJson(response, 200, {
    ...head('chat.completion', call, body),
    choices: [
      {
        index: 0,
        message: toolCalls ? { ...message, tool_calls: toolCalls.map(toToolCall) } : message,
        logprobs: null,
        finish_reason: toolCalls ? 'tool_calls' : 'stop',
      },
    ],
    usage: behaviour.usage ?? usage,
  })
}

async function stream(exchange: Exchange, call: number, body: Body, behaviour: Behaviour) {
  const { response } = exchange
  const { delayMs, cut, silent, toolCalls } = behaviour
  const start = head('chat.completion.chunk', call, body)
  const chunk = (delta: object, reason: string | null = null) =>
    `data: ${JSON.stringify({ ...start, choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }] })}\n\n`
  const write = behaviour.bytewise
    ? writeBytes
    : (_: ServerResponse, text: string) => void response.write(text)
  const texts = behaviour.deltas ?? toText(call, body, behaviour).match(/\s*\S+|\s+/g) ?? []
  const deltas: object[] = toolCalls
    ? toolCalls.map((tool, index) => ({ tool_calls: [{ index, ...toToolCall(tool, index) }] }))
    : texts.map((content) => ({ content }))

  response.setHeader('content-type', 'text/event-stream; charset=utf-8')
  await write(response, chunk({ role: 'assistant', content: toolCalls ? null : '' }))
  for (const [index, delta] of deltas.entries()) {
    if (delayMs) await sleep(delayMs)
    if (exchange.over) return
    if (index === Math.floor(deltas.length / 2)) {
      if (silent === 'middle') return
      if (cut === 'end') return response.end('data: {"id":"cut')
      if (cut === 'destroy') return destroySoon(exchange)
      if (cut === 'error') return response.end(`data: ${JSON.stringify(envelopes[500])}\n\n`)
    }
    await write(response, chunk(delta))
  }
  const options = body.stream_options as { include_usage?: boolean } | undefined
  let end = chunk({}, toolCalls ? 'tool_calls' : 'stop')
  if (options?.include_usage) {
    end += `data: ${JSON.stringify({ ...start, choices: [], usage: behaviour.usage ?? usage })}\n\n`
  }
  response.end(`${end}data: [DONE]\n\n`)
}

interface EmbeddingBody {
  model?: string
  input: string | (string | number[])[]
  dimensions?: number
  encoding_format?: string
}

const LENGTHS: Record<string, number> = { 'text-embedding-3-small': 1536, 'text-embedding-3-large': 3072 }

/** In the opposite order, as nothing forbids. A token is a word. */
function toEmbeddings(
  { model, input, dimensions, encoding_format }: EmbeddingBody,
  { embeddings: { count, dimensions: own = LENGTHS[model ?? ''] ?? 256, floats } = {}, usage }: Behaviour,
) {
  const texts = [input].flat().map((one) => (typeof one === 'string' ? one : one.join(' ')))
  const data = texts.map((text, index) => {
    const vector = bagOfWords(text, dimensions ?? own)
    const base64 = encoding_format === 'base64' && !floats
    const embedding = base64 ? Buffer.from(vector.buffer).toString('base64') : Array.from(vector)
    return { object: 'embedding', index, embedding }
  })
  const tokens = texts.reduce((sum, text) => sum + wordsOf(text).length, 0)
  return {
    object: 'list',
    data: data.slice(0, count).reverse(),
    model,
    usage: usage ?? { prompt_tokens: tokens, total_tokens: tokens },
  }
}

const wordsOf = (text: string) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [text]

/** Unit vector of hashed words: texts that share words are near. */
export function bagOfWords(text: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions)
  for (const word of wordsOf(text)) {
    let hash = 0x811c9dc5
    for (const unit of word) hash = Math.imul(hash ^ unit.codePointAt(0)!, 0x01000193)
    vector[(hash >>> 0) % dimensions]! += 1
  }
  const norm = Math.hypot(...vector)
  return vector.map((number) => number / norm)
}

const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }

const envelopes: Record<number, object> = {
  400: envelope(
    'Unsupported value: temperature must be at most 2.',
    'invalid_request_error',
    'unsupported_value',
    'temperature',
  ),
  401: envelope('Incorrect API key provided: sk-test.', 'invalid_request_error', 'invalid_api_key', null),
  404: envelope('The model `nope` does not exist.', 'invalid_request_error', 'model_not_found', 'model'),
  429: envelope('Rate limit reached for requests.', 'requests', 'rate_limit_exceeded', null),
  500: envelope('The server had an error while processing your request.', 'server_error', null, null),
}

function envelope(message: string, type: string, code: string | null, param: string | null) {
  return { error: { message, type, param, code } }
}

function head(object: string, call: number, { model }: Body) {
  return { id: `chatcmpl-${call}`, object, created: 1_767_225_600, model, system_fingerprint: null }
}

function toText(call: number, body: Body, { text = 'Hello from the mock.', size }: Behaviour): string {
  if (size !== undefined) return 'x'.repeat(size)
  return typeof text === 'function' ? text(call, body) : text
}

function toToolCall({ id, ...call }: { id?: string; name: string; arguments: string }, index: number) {
  return { id: id ?? `call_${index}`, type: 'function', function: call }
}

function sendJson(response: ServerResponse, status: number, body: unknown) {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(typeof body === 'string' ? body : JSON.stringify(body))
}

/** A turn of the loop for each byte: Nagle is off, so each is a packet. */
async function writeBytes(response: ServerResponse, text: string) {
  for (const byte of Buffer.from(text)) {
    response.write(Uint8Array.of(byte))
    await new Promise(setImmediate)
  }
}

/** What was written goes out before the connection breaks. */
async function destroySoon(exchange: Exchange) {
  await sleep(10)
  exchange.over = true
  exchange.response.destroy()
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({ options: { port: { type: 'string' } }, allowPositionals: true })
  const behaviour = JSON.parse(positionals[0] ?? '{}') as Behaviour
  const { url } = await startProvider({ record: false, ...behaviour, port: Number(values.port ?? 0) })
  console.log(JSON.stringify({ url }))
}
