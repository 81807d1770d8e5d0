import { type Context, Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { ACT_FOR } from '../shared/admission.ts'
import { HubError } from '../shared/errors.ts'
import {
  complete,
  idOf,
  type Message,
  RPC,
  RpcError,
  readMessage,
  SHAKEN,
  STATELESS,
  toErrorReply,
  toReply,
} from '../shared/mcp/messages.ts'
import { bearer, claimOf } from './credential.ts'
import type { App, Deps } from './deps.ts'
import { parseJson } from './http.ts'
import { type McpTool, mcpTools } from './mcp-tools.ts'

type McpDeps = Pick<Deps, 'admission' | 'hub' | 'version'>

/** What a call may take in all: clients themselves wait for a minute or two. */
const CALL_MS = 120_000
/** For how long a client may remember the list: a key's scopes do not change. */
const LIST_KEPT_MS = 60_000

const INSTRUCTIONS =
  'Documents: list_indexes, then search or ask. Long memory: recall at the beginning, remember what lasts. Shared facts: read_knowledge and write_knowledge. Models: describe_model, then infer. Events: publish_event, then event_result.'

/**
 * `/mcp`: the Model Context Protocol over streamable HTTP without sessions, each reply JSON. A tool's call is a request to the hub's own
 * route by the same caller, so that it is admitted, limited, checked and metered as any other.
 */
export function mcp({ admission, hub, version }: McpDeps) {
  const server = { name: 'redis-ai-hub', title: 'redis-ai-hub', version }
  const about = { capabilities: { tools: {} }, instructions: INSTRUCTIONS }

  async function resultOf(c: Context<App>, { method, params, stateless }: Message): Promise<object> {
    if (method === 'tools/call') return call(c, params)
    if (!stateless && method === 'ping') return {}
    if (method === 'tools/list') {
      const tools = (await seenBy(c)).map(shown)
      return stateless ? { tools, ttlMs: LIST_KEPT_MS, cacheScope: 'private' } : { tools }
    }
    if (stateless && method === 'server/discover') {
      await seenBy(c)
      return { ...about, supportedVersions: [STATELESS], ttlMs: LIST_KEPT_MS, cacheScope: 'private' }
    }
    if (!stateless && method === 'initialize') {
      await seenBy(c)
      const asked = String(params.protocolVersion)
      return { ...about, protocolVersion: SHAKEN.includes(asked) ? asked : SHAKEN[0], serverInfo: server }
    }
    throw new RpcError(RPC.unknownMethod, `There is no method \`${method.slice(0, 100)}\` here.`, {
      status: stateless ? 404 : 200,
    })
  }

  /** Tools that are deployed, and that the caller's key may use. Throws 401, 403 without any scope of theirs, 429. */
  async function seenBy(c: Context<App>): Promise<McpTool[]> {
    const there = deployed()
    const scopes = [...new Set(there.map(({ scope }) => scope))]
    const { caller } = await admission.admit(claimOf(c, admission, bearer), scopes)
    return there.filter(({ scope }) => caller.scopes?.has(scope) ?? true)
  }

  function deployed() {
    // Whatever the routes call the parts of their paths.
    const shapeOf = (route: string) => route.replace(/:\w+/g, ':')
    const routes = new Set(hub.routes.map(({ method, path }) => shapeOf(`${method} ${path}`)))
    return mcpTools.filter(({ route }) => routes.has(shapeOf(route)))
  }

  /** Throws `HubError` 401, and `RpcError` for what is no tool. */
  async function call(c: Context<App>, { name, arguments: given = {} }: Record<string, unknown>) {
    const tool = deployed().find((tool) => tool.name === name)
    if (!tool)
      throw new RpcError(RPC.invalidParams, `Unknown tool: ${String(name).slice(0, 100)}`, { status: 200 })
    const { success, data, error } = tool.input.safeParse(given)
    if (!success) return failed(`The arguments are not right.\n${z.prettifyError(error)}`)
    const deadline = AbortSignal.timeout(CALL_MS)
    const ask = (route: string, args: Record<string, unknown>, toBody?: McpTool['toBody']) =>
      answered(c, hub, toRequest(c, route, args, toBody, deadline), deadline)

    let reply = await ask(tool.route, data, tool.toBody)
    if (tool.name === 'remember' && reply.error?.code === 'agent_not_found') {
      reply = await ask('PUT /v1/agents/:agent', { agent: data.agent, role: 'custom' })
      if (!reply.error) reply = await ask(tool.route, data)
    }
    if (reply.status === 401) throw new HubError({ status: 401, ...reply.error! })
    if (reply.error) return failed(`${reply.error.message} (${reply.error.code})`)
    return {
      content: [{ type: 'text', text: JSON.stringify(reply.body) }],
      structuredContent: reply.body,
    }
  }

  return new Hono<App>()
    .use('/mcp', async (c, next) => {
      refuseForeignPages(c)
      await next()
    })
    .post(
      '/mcp',
      describeRoute({
        summary: 'Model Context Protocol: streamable HTTP, stateless',
        requestBody: {
          required: true,
          content: { 'application/json': { schema: { type: 'object', description: 'JSON-RPC 2.0' } } },
        },
        responses: {
          200: { description: 'The reply', content: { 'application/json': { schema: { type: 'object' } } } },
          202: { description: 'A notification was taken' },
        },
      }),
      async (c) => {
        let body: unknown
        try {
          claimOf(c, admission, bearer)
          body = await readJson(c)
          const message = readMessage(body, (name) => c.req.header(name))
          if (message.id === undefined) return c.body(null, 202)
          const result = await resultOf(c, message)
          return c.json(toReply(message.id, message.stateless ? complete(result, server) : result))
        } catch (error) {
          if (!(error instanceof RpcError)) throw error
          return c.json(toErrorReply(idOf(body), error), error.status as 400)
        }
      },
    )
    .on(['GET', 'DELETE'], '/mcp', describeRoute({ hide: true }), (c) => {
      const message = 'There are no sessions and no streams here. Send each message with POST.'
      return c.json(new HubError({ code: 'method_not_allowed', status: 405, message }), 405, {
        Allow: 'POST',
      })
    })
}

/** A page of another site must not use what a browser can reach: neither by the user's own network nor with a key that it got hold of. */
function refuseForeignPages(c: Context<App>) {
  const origin = c.req.header('origin')
  if (origin === undefined) return
  const from = URL.parse(origin)
  const to = URL.parse(`http://${c.req.header('host') ?? new URL(c.req.url).host}`)
  if (from && to && (from.host === to.host || (isLoopback(from) && isLoopback(to)))) return
  const message = `Pages of ${origin.slice(0, 200)} may not use /mcp. Only pages of the hub itself may.`
  throw new HubError({ code: 'foreign_origin', status: 403, message })
}

const isLoopback = ({ hostname }: URL) => /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/i.test(hostname)

async function readJson(c: Context<App>): Promise<unknown> {
  const type = c.req.header('content-type') ?? ''
  if (!/^application\/json\b/i.test(type)) {
    throw new RpcError(RPC.invalidRequest, 'Send JSON as `Content-Type: application/json`.', { status: 415 })
  }
  const text = await c.req.text()
  try {
    return parseJson(text)
  } catch (error) {
    throw new RpcError(RPC.unreadable, (error as Error).message)
  }
}

/** The request to a route that an HTTP client would send. */
function toRequest(
  c: Context<App>,
  route: string,
  args: Record<string, unknown>,
  toBody: McpTool['toBody'],
  deadline: AbortSignal,
): Request {
  const [method, template = ''] = route.split(' ')
  const rest = { ...args }
  const path = template.replace(/:(\w+)/g, (_, name: string) => {
    delete rest[name]
    return encodeURIComponent(String(args[name]))
  })
  const call = method === 'GET' ? { query: rest } : (toBody?.(rest) ?? { body: rest })
  const { body, query = {}, type = 'application/json' } = call as ReturnType<NonNullable<typeof toBody>>
  const url = new URL(path, c.req.url)
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) if (one !== undefined) url.searchParams.append(name, String(one))
  }
  const headers = new Headers({ 'x-request-id': c.var.requestId })
  for (const name of ['authorization', ACT_FOR, 'host', 'traceparent', 'tracestate']) {
    const value = c.req.header(name)
    if (value !== undefined) headers.set(name, value)
  }
  if (body) headers.set('content-type', type)
  const signal = AbortSignal.any([c.req.raw.signal, deadline])
  return new Request(url, { method, headers, signal, body: body && JSON.stringify(body) })
}

interface Reply {
  status: number
  body?: unknown
  error?: { message: string; code: string }
}

/** The route's answer; past the deadline it is not waited for, and what still runs was told to stop. */
async function answered(
  c: Context<App>,
  hub: Deps['hub'],
  request: Request,
  deadline: AbortSignal,
): Promise<Reply> {
  const late = Promise.withResolvers<Reply>()
  const message = `It took longer than ${CALL_MS / 1_000} s and was stopped.`
  const expire = () => late.resolve({ status: 504, error: { message, code: 'timeout' } })
  deadline.addEventListener('abort', expire, { once: true })
  const asking = (async () => {
    const response = await hub.fetch(request, c.env)
    const body = (await response.json()) as { error?: Reply['error'] }
    return response.ok ? { status: 200, body } : { status: response.status, error: body.error }
  })()
  c.env.defer(asking)
  return Promise.race([asking, late.promise])
}

const failed = (text: string) => ({ content: [{ type: 'text', text }], isError: true })

function shown({ name, title, description, input, output, annotations }: McpTool) {
  return {
    ...{ name, title, description },
    inputSchema: z.toJSONSchema(input, { io: 'input' }),
    outputSchema: z.toJSONSchema(output),
    annotations: { title, openWorldHint: false, ...annotations },
  }
}
