/** What a client of the Model Context Protocol said in one POST, and what is said back; nothing of it is remembered. */

/** The revision whose every request says all about itself: no handshake, no session. */
export const STATELESS = '2026-07-28'
/** Those before, which begin with `initialize`; the newest first. */
export const SHAKEN = ['2025-11-25', '2025-06-18']

export const RPC = {
  unreadable: -32700,
  invalidRequest: -32600,
  unknownMethod: -32601,
  invalidParams: -32602,
  headersDisagree: -32020,
  unknownVersion: -32022,
}

export type RequestId = string | number

/** An error of JSON-RPC, and the status that its reply has. */
export class RpcError extends Error {
  override name = 'RpcError'
  readonly code: number
  readonly status: number
  readonly data: unknown

  constructor(
    code: number,
    message: string,
    { status = 400, data }: { status?: number; data?: unknown } = {},
  ) {
    super(message)
    this.code = code
    this.status = status
    this.data = data
  }
}

/** Without an id nobody waits for a reply: a notification, or an answer to a question that this server never asks. */
export interface Message {
  id?: RequestId
  method: string
  params: Record<string, unknown>
  /** Whether it is of `STATELESS`. */
  stateless: boolean
}

type HeaderOf = (name: string) => string | undefined

/** What has a name that its header must repeat, and where that is among its parameters. */
const NAMED: Record<string, string> = { 'tools/call': 'name' }

const META = 'io.modelcontextprotocol'
const ENVELOPE = [`${META}/protocolVersion`, `${META}/clientInfo`, `${META}/clientCapabilities`]

/**
 * The message of a body that was read as JSON, of either kind of revision.
 *
 * Errors: `RpcError` for what is no message, for a revision that is not served, and for headers that say other than the body.
 */
export function readMessage(body: unknown, header: HeaderOf): Message {
  if (!isObject(body) || body.jsonrpc !== '2.0') throw noMessage()
  if (!('method' in body) && ('result' in body || 'error' in body))
    return { method: '', params: {}, stateless: false }
  const { id, method, params = {} } = body
  if (typeof method !== 'string' || !isObject(params)) throw noMessage()
  if (id !== undefined && typeof id !== 'string' && !Number.isInteger(id)) throw noMessage()

  const meta = isObject(params._meta) ? params._meta : {}
  const claimed = meta[ENVELOPE[0]!]
  const named = header('mcp-protocol-version')?.trim()
  const stateless = claimed !== undefined || (named !== undefined && named >= STATELESS)
  const message = { id: id as RequestId | undefined, method, params, stateless }
  if (!stateless) {
    if (named === undefined || SHAKEN.includes(named)) return message
    throw unknownVersion(named, [...SHAKEN, STATELESS])
  }
  if (id === undefined) return message
  const missing = ENVELOPE.find((key) => meta[key] === undefined)
  if (missing) throw new RpcError(RPC.invalidParams, `params._meta: \`${missing}\` is missing`)
  if (claimed !== named) throw disagree('MCP-Protocol-Version', named, claimed)
  if (claimed !== STATELESS) throw unknownVersion(String(claimed), [STATELESS])
  const said = header('mcp-method')?.trim()
  if (said !== method) throw disagree('Mcp-Method', said, method)
  const name = Object.hasOwn(NAMED, method) ? params[NAMED[method]!] : undefined
  const saidName = plain(header('mcp-name')?.trim())
  if (name !== undefined && saidName !== name) throw disagree('Mcp-Name', saidName, name)
  return message
}

/** The id of a body that could not be taken, for the reply that says so. */
export function idOf(body: unknown): RequestId | null {
  const id = isObject(body) ? body.id : undefined
  return typeof id === 'string' || typeof id === 'number' ? id : null
}

export const toReply = (id: RequestId, result: object) => ({ jsonrpc: '2.0' as const, id, result })

export const toErrorReply = (id: RequestId | null, { code, message, data }: RpcError) => ({
  jsonrpc: '2.0' as const,
  id,
  error: { code, message, ...(data !== undefined && { data }) },
})

/** As `STATELESS` wants a result: complete, with who says so. */
export const complete = (result: object, server: object) => ({
  ...result,
  resultType: 'complete',
  _meta: { [`${META}/serverInfo`]: server },
})

/** A header holds what is not ASCII as `=?base64?…?=`. */
function plain(value: string | undefined): string | undefined {
  const [, encoded] = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/.exec(value ?? '') ?? []
  return encoded === undefined ? value : Buffer.from(encoded, 'base64').toString()
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const noMessage = () =>
  new RpcError(RPC.invalidRequest, 'The body is no message of JSON-RPC 2.0. Batches are not taken.')

const unknownVersion = (requested: string, supported: readonly string[]) =>
  new RpcError(
    RPC.unknownVersion,
    `The protocol version ${requested.slice(0, 40)} is not served. There are: ${supported.join(', ')}.`,
    { data: { supported, requested } },
  )

const disagree = (name: string, said: string | undefined, inBody: unknown) =>
  new RpcError(
    RPC.headersDisagree,
    `The header ${name} ${said === undefined ? 'is missing' : `says ${said.slice(0, 100)}`}, and the body says ${String(inBody).slice(0, 100)}.`,
  )
