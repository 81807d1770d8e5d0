import { HubError } from '../../errors.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Outgoing, OutgoingResponse } from '../../ports/outgoing.ts'
import { decoded, retryAfter } from '../../schedules/fetch-source.ts'

export interface HttpCall {
  url: URL
  method: string
  headers: Record<string, string>
  body?: string
  allowPrivate: boolean
  signal: AbortSignal
}

/** As it came: of any status. */
export interface HttpReply {
  url: URL
  status: number
  headers: Headers
  text: string
}

/** Of a reply, decoded. */
const MOST_BYTES = 1_048_576
/** Of what a server says of a failure. */
const SHOWN_CHARACTERS = 500

/** One call to somebody's server. Errors: `HubError` `reply_too_large` (413), those of `Outgoing`. */
export async function callHttp(outgoing: Outgoing, call: HttpCall): Promise<HttpReply> {
  const { url } = call
  const response = await sendHttp(outgoing, call)
  const parts: Uint8Array[] = []
  const body = boundedBody(url, response)
  if (body) for await (const part of body) parts.push(part)
  const { status, headers } = response
  return { url, status, headers, text: toText(Buffer.concat(parts), headers) }
}

/** The head of the reply. */
export function sendHttp(outgoing: Outgoing, call: HttpCall): Promise<OutgoingResponse> {
  const bytes = call.body === undefined ? undefined : new TextEncoder().encode(call.body)
  const headers = new Headers({
    ...call.headers,
    'accept-encoding': 'identity',
    'user-agent': 'redis-ai-hub',
  })
  if (bytes) headers.set('content-length', String(bytes.length))
  return outgoing.send({ ...call, headers, body: bytes ? new Blob([bytes]).stream() : null })
}

/** The body of a reply; it breaks where it is too large, and what is left is not read. Leaving it ends the call. */
export function boundedBody(
  url: URL,
  { body, headers }: OutgoingResponse,
): ReadableStream<Uint8Array> | null {
  if (!body) return null
  const tooLarge = () => {
    const message = `${url.host} replied with more than ${MOST_BYTES} bytes, which were not read.`
    return new HubError({ code: 'reply_too_large', status: 413, message })
  }
  let size = 0
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    start(controller) {
      if (Number(headers.get('content-length') ?? 0) > MOST_BYTES) controller.error(tooLarge())
    },
    transform(part, controller) {
      size += part.byteLength
      if (size > MOST_BYTES) controller.error(tooLarge())
      else controller.enqueue(part)
    },
  })
  return decoded(body, headers).pipeThrough(counted)
}

/** What a status that is not of success means: whether the call may pass, and what the model reads. */
export function toFailure({ url, status, headers, text }: HttpReply, clock: Clock): HubError {
  const said = text.slice(0, SHOWN_CHARACTERS).trim()
  return new HubError({
    code: 'tool_failed',
    status: status < 400 ? 422 : status, // a redirect that is not followed helps nobody to try again
    message: `${url.host} answered ${status}${said && `: ${said}`}`,
    retryAfterSeconds: retryAfter(headers.get('retry-after'), clock.now()),
  })
}

function toText(bytes: Uint8Array, headers: Headers): string {
  const charset = /charset="?([\w-]+)/i.exec(headers.get('content-type') ?? '')?.[1]
  try {
    return new TextDecoder(charset).decode(bytes)
  } catch {
    return new TextDecoder().decode(bytes) // of a name that nobody knows
  }
}
