import type {
  CallToolResult,
  Client,
  ClientOptions,
  DiscoverResult,
  JsonSchemaValidator,
  StreamableHTTPClientTransport,
  Tool,
} from '@modelcontextprotocol/client'
import { LRUCache } from 'lru-cache'
import { HubError } from '../../errors.ts'
import type { Outgoing } from '../../ports/outgoing.ts'
import { fingerprint } from './tool-cache.ts'
import { boundedBody, sendHttp } from './tool-http.ts'

export interface McpServer {
  tenant: string
  url: URL
  /** `Authorization` and the like. */
  headers: Record<string, string>
  allowPrivate: boolean
}

/** As a server declares it. Nothing that it says of itself is trusted. */
export type McpTool = Pick<Tool, 'name' | 'description' | 'inputSchema'>

/** What is known of a server: plain data, which another request may use. */
interface Known {
  /** 2026-07-28 and later: no sessions. */
  discover?: DiscoverResult
  session?: { id: string; version: string }
}

const REMEMBERED_MS = 10 * 60_000
const MOST_PAGES = 20
/** The caller's signal ends it first. */
const TIMEOUT_MS = 310_000

/**
 * A client of MCP servers over Streamable HTTP, of every revision that the SDK speaks. Each call has a connection of its own; what
 * was negotiated, and the session, are remembered. Every request goes through `Outgoing`.
 *
 * Errors: `HubError` `tool_failed` with the server's status, or 422 for an error of JSON-RPC and 502 for what is no MCP; those of `Outgoing`; `reply_too_large`.
 */
export function createMcpClient({ outgoing }: { outgoing: Outgoing }) {
  const known = new LRUCache<string, Known>({ max: 1_000, ttl: REMEMBERED_MS, ttlResolution: 0 })

  async function use<T>(
    server: McpServer,
    caller: AbortSignal,
    work: (client: Client, signal: AbortSignal) => Promise<T>,
    { anew = false } = {},
  ): Promise<T> {
    const key = keyOf(server)
    const before = anew ? undefined : known.get(key)
    // Imported when it is first needed: an agent without such servers pays nothing for it.
    const { Client, ProtocolError, SdkHttpError, StreamableHTTPClientTransport } = await import(
      '@modelcontextprotocol/client'
    )
    const broken = new AbortController()
    const signal = AbortSignal.any([caller, broken.signal])
    const fail = (error: unknown) => broken.abort(error)
    const transport = new StreamableHTTPClientTransport(server.url, {
      fetch: toFetch(outgoing, server, signal, fail),
      requestInit: { headers: server.headers },
      ...(before?.session && { sessionId: before.session.id, protocolVersion: before.session.version }),
    })
    const client = new Client({ name: 'redis-ai-hub', version: '1' }, CLIENT)
    try {
      const prior = before?.discover && ({ kind: 'modern', discover: before.discover } as const)
      await client.connect(transport, { signal, timeout: TIMEOUT_MS, prior })
      if (!before) remember(key, client, transport)
      return await work(client, signal)
    } catch (error) {
      caller.throwIfAborted()
      const status = error instanceof SdkHttpError ? error.status : undefined
      // Refused before it was looked at: the session is over. Some say 400 where the protocol says 404.
      const isOver = before?.session && (status === 404 || status === 400)
      if (isOver || before?.discover) known.delete(key)
      if (isOver) return await use(server, caller, work, { anew: true })
      if (broken.signal.aborted) throw broken.signal.reason
      if (error instanceof ProtocolError)
        throw toFailure(server, 422, `refused the call: ${error.message}`, error)
      const what = status === undefined ? 'does not speak MCP as it should: ' : `answered ${status}: `
      throw toFailure(server, status ?? 502, what + (error as Error).message, error)
    } finally {
      await client.close()
    }
  }

  function remember(key: string, client: Client, transport: StreamableHTTPClientTransport) {
    const discover = client.getDiscoverResult()
    const { sessionId: id, protocolVersion: version } = transport
    if (discover) known.set(key, { discover })
    else if (id && version) known.set(key, { session: { id, version } })
  }

  return {
    /** All pages. On a connection of its own, whose server says what it can. */
    listTools(server: McpServer, { signal }: { signal: AbortSignal }): Promise<McpTool[]> {
      const list = async (client: Client, signal: AbortSignal) => {
        const { tools } = await client.listTools(undefined, { signal, timeout: TIMEOUT_MS })
        return tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }))
      }
      return use(server, signal, list, { anew: true })
    },

    /** `_meta` goes with the call. */
    callTool(
      server: McpServer,
      tool: McpTool,
      call: { arguments: Record<string, unknown>; _meta: Record<string, unknown>; signal: AbortSignal },
    ): Promise<CallToolResult> {
      const params = { name: tool.name, arguments: call.arguments, _meta: call._meta }
      return use(server, call.signal, (client, signal) =>
        client.callTool(params, { signal, timeout: TIMEOUT_MS, toolDefinition: tool }),
      )
    },
  }
}

export type McpClient = ReturnType<typeof createMcpClient>

/** Names a server as a tenant reaches it. */
export const keyOf = ({ tenant, url, headers, allowPrivate }: McpServer) =>
  fingerprint('mcp', tenant, url.href, headers, allowPrivate)

/** It offers a server nothing: no sampling, no elicitation, no roots. */
const CLIENT: ClientOptions = {
  capabilities: {},
  versionNegotiation: { mode: 'auto' },
  listMaxPages: MOST_PAGES,
  // A server's schema of its output is not compiled: what the model is told is text.
  jsonSchemaValidator: {
    getValidator:
      <T>(): JsonSchemaValidator<T> =>
      (data) => ({ valid: true, data: data as T, errorMessage: undefined }),
  },
}

/** The SDK's `fetch`. What breaks a reply ends the call: the SDK would wait on. */
function toFetch(
  outgoing: Outgoing,
  { allowPrivate }: McpServer,
  signal: AbortSignal,
  fail: (error: unknown) => void,
) {
  return async (given: string | URL, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(given)
    const headers = Object.fromEntries(new Headers(init.headers))
    const { method = 'GET' } = init
    // A stream that only waits for what the server may say by itself: nobody listens here.
    if (method === 'GET' && headers['last-event-id'] === undefined) return new Response(null, { status: 405 })
    try {
      const all = init.signal ? AbortSignal.any([signal, init.signal]) : signal
      const call = { url, method, headers, body: init.body as string | undefined, allowPrivate, signal: all }
      const response = await sendHttp(outgoing, call)
      const body = boundedBody(url, response)
      return new Response(body && watched(body, fail), response)
    } catch (error) {
      fail(error)
      throw error
    }
  }
}

function watched(
  body: ReadableStream<Uint8Array>,
  fail: (error: unknown) => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (done) controller.close()
          else controller.enqueue(value)
        } catch (error) {
          fail(error)
          controller.error(error)
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}

const SHOWN_CHARACTERS = 500

const toFailure = ({ url }: McpServer, status: number, what: string, cause: unknown) =>
  new HubError({
    code: 'tool_failed',
    status: status < 400 ? 502 : status,
    message: `${url.host} ${what.slice(0, SHOWN_CHARACTERS)}`,
    cause,
  })
