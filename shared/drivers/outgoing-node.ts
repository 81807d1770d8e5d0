import { lookup as systemLookup } from 'node:dns'
import http, { type ClientRequest, type IncomingMessage } from 'node:http'
import https from 'node:https'
import type { LookupFunction, Socket } from 'node:net'
import { HubError, NeverSentError } from '../errors.ts'
import type { Outgoing, OutgoingRequest } from '../ports/outgoing.ts'
import { checkUrl, isPublicAddress, refusedUpstream } from './outgoing-address.ts'
import { toGuardedBody, toUpstreamError } from './outgoing-error.ts'
import { createSilence, type Silence } from './silence.ts'

export interface OutgoingNodeOptions {
  /** Longest wait for the connection and the first byte, and between two. */
  silenceMs: number
  lookup?: LookupFunction
}

/** An idle connection is often closed by the other side: a short life loses few requests to that. */
const IDLE_MS = 4_000

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * The port over Node's own HTTP client. A name's addresses are checked where the connection is made, so that what was
 * checked is what is connected to.
 *
 * @example const outgoing = createOutgoingNode({ silenceMs: 30_000 })
 */
export function createOutgoingNode({ silenceMs, lookup = systemLookup }: OutgoingNodeOptions): Outgoing {
  // A connection that was allowed a private address is never lent to a request that is not.
  const agents = {
    public: new https.Agent({
      keepAlive: true,
      timeout: IDLE_MS,
      lookup: publicOnly(lookup),
    } as https.AgentOptions),
    'https:': new https.Agent({ keepAlive: true, timeout: IDLE_MS, lookup } as https.AgentOptions),
    'http:': new http.Agent({ keepAlive: true, timeout: IDLE_MS, lookup } as http.AgentOptions),
  }
  const agentOf = ({ url, allowPrivate }: OutgoingRequest) =>
    allowPrivate ? agents[url.protocol as 'http:' | 'https:'] : agents.public

  return {
    check: checkUrl,
    async send(request) {
      const { url, allowPrivate, signal } = request
      checkUrl(url, allowPrivate)
      const silence = createSilence(silenceMs, signal)
      silence.expect()
      try {
        const response = await open(request, agentOf(request), silence)
        silence.heard()
        return toResponse(response, request, silence)
      } catch (cause) {
        silence.close()
        throw toUpstreamError(url, silence, cause)
      }
    },
  }
}

function open(request: OutgoingRequest, agent: http.Agent, silence: Silence): Promise<IncomingMessage> {
  const { url, method, body } = request
  const headers: Record<string, string> = Object.fromEntries(request.headers)
  // Node would send such a body without a frame for methods that mostly have none: the next request, to a server.
  if (body && headers['content-length'] === undefined) headers['transfer-encoding'] = 'chunked'
  return new Promise<IncomingMessage>((resolve, reject) => {
    const call = (url.protocol === 'https:' ? https : http).request(url, {
      method,
      headers,
      agent,
      signal: silence.signal,
    })
    Object.assign(call, { strictContentLength: true }) // its types have it for servers alone
    call.on('socket', neverUnheard)
    call.on('response', resolve)
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (!connected && !(error instanceof HubError)) {
        return reject(new NeverSentError(error.message, { cause: error }))
      }
      const closedWhileIdle = call.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
      if (closedWhileIdle && !body && SAFE.has(method)) open(request, agent, silence).then(resolve, reject)
      else reject(error)
    })
    let connected = false
    const begin = () => {
      connected = true
      upload(call, body, silence).catch((error) => {
        call.destroy()
        reject(error)
      })
    }
    call.once('socket', (socket) => (socket.connecting ? socket.once('connect', begin) : begin()))
  })
}

/**
 * An abort just when the last of an answer was read reaches the socket after Node took the call's listeners off it: an error that
 * nobody hears would end the process.
 */
function neverUnheard(socket: Socket) {
  if (!socket.listeners('error').includes(ignore)) socket.on('error', ignore)
}

const ignore = () => {}

/** Time in which the client sends nothing is not the upstream's silence. */
async function upload(call: ClientRequest, body: ReadableStream<Uint8Array> | null, silence: Silence) {
  if (body) {
    const closed = new Promise<void>((resolve) => call.once('close', resolve))
    silence.heard()
    for await (const chunk of body) {
      silence.expect()
      if (!call.write(chunk))
        await Promise.race([new Promise((resolve) => call.once('drain', resolve)), closed])
      if (call.destroyed) return
      silence.heard()
    }
    silence.expect()
  }
  call.end()
}

function toResponse(response: IncomingMessage, { url, method }: OutgoingRequest, silence: Silence) {
  const status = response.statusCode ?? 0
  if (status < 200 || status > 599) throw new Error(`The upstream's status is ${status}`)
  const headers = new Headers()
  for (let i = 0; i < response.rawHeaders.length; i += 2) {
    headers.append(response.rawHeaders[i]!, response.rawHeaders[i + 1]!)
  }
  const { 'transfer-encoding': chunked, 'content-length': length } = response.headers
  if (method === 'HEAD' || length === '0' || status === 204 || status === 205 || status === 304) {
    response.resume()
    silence.close()
    return { status, headers, body: null, framed: true }
  }
  response.on('error', () => {}) // a cut before the first read: the reader is told
  const leave = () => response.destroy()
  const body = toGuardedBody(response[Symbol.asyncIterator](), { url, silence, leave })
  return { status, headers, body, framed: chunked !== undefined || length !== undefined }
}

/** Fails where one address of the name is not public: a name that has both is not to be trusted with either. */
function publicOnly(lookup: LookupFunction): LookupFunction {
  return (name, options, callback) =>
    lookup(name, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, [])
      const addresses = found as { address: string; family: number }[]
      if (addresses.length === 0 || !addresses.every(({ address }) => isPublicAddress(address))) {
        return callback(refusedUpstream(`${name} leads to an address that is not public`), [])
      }
      if (options.all) callback(null, addresses)
      else callback(null, addresses[0]!.address, addresses[0]!.family)
    })
}
