import type { Context, MiddlewareHandler } from 'hono'
import { resolver, uniqueSymbol } from 'hono-openapi'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { Admission, Caller } from '../shared/admission.ts'
import { HubError } from '../shared/errors.ts'
import { NAME } from '../shared/keys.ts'
import type { Fence } from '../shared/locks/fence.ts'
import { beginAct, endAct } from './acts.ts'
import { actsFor, claimOf, credentialOf } from './credential.ts'
import type { App } from './deps.ts'

/** What a request says for itself. */
type Credential = (c: Context) => string | undefined

/** Anthropic's clients say `x-api-key`. Not on every route: to a gateway it may be meant for what is behind it. */
export const anyKeyHeader: Credential = (c) => {
  const key = c.req.header('x-api-key')
  return credentialOf(c) ?? (key === undefined ? undefined : `Bearer ${key}`)
}

/** The caller's claim, checked without Redis: for the hot path, which asks Redis about it in its own wave. */
export const claimed =
  (admission: Admission, credential: Credential = credentialOf): MiddlewareHandler<App> =>
  (c, next) => {
    const claim = claimOf(c, admission, credential)
    c.set('claim', claim)
    return 'caller' in claim && actsFor(c) !== undefined ? recorded(c, claim.caller, next) : next()
  }

async function recorded(c: Context<App>, caller: Caller, next: () => Promise<void>) {
  await beginAct(c, caller)
  await next()
  endAct(c)
}

/** The caller, admitted to `scope` (a function's name, or `admin`). What an admin changes, or who acts for a tenant, is recorded before it is done. */
export const admitted =
  (admission: Admission, scope: string, credential: Credential = credentialOf): MiddlewareHandler<App> =>
  async (c, next) => {
    const { caller, headers } = await admission.admit(claimOf(c, admission, credential), scope)
    c.set('caller', caller)
    for (const [name, value] of Object.entries(headers)) c.header(name, value)
    if (scope === 'admin' || actsFor(c) !== undefined) await beginAct(c, caller)
    await next()
    endAct(c)
  }

/** Texts of bodies that are remembered: 8 Mi characters in all, none above 64 Ki. */
const REMEMBERED = { maxSize: 8 * 1024 * 1024, maxEntrySize: 64 * 1024 }

/**
 * A JSON body of this schema: 415, 400 with the path in `param`, and its place in the OpenAPI document.
 *
 * `remember`: what was read of a body is handed out again, frozen, for the same text. A cache is asked the same things:
 * parsing, checking and hashing them anew were a seventh of a hit.
 */
export function json<Schema extends z.ZodType>(schema: Schema, { remember = false } = {}) {
  const known = remember
    ? new LRUCache<string, object>({ ...REMEMBERED, sizeCalculation: (_, text) => text.length + 1 })
    : undefined
  const middleware: MiddlewareHandler<
    App,
    string,
    { in: { json: z.input<Schema> }; out: { json: z.output<Schema> } }
  > = async (c, next) => {
    const text = await readText(c)
    let value = known?.get(text)
    if (!value) {
      value = checked(schema, parseJson(text)) as object
      known?.set(text, deepFreeze(value))
    }
    c.req.addValidatedData('json', value)
    await next()
  }
  return Object.assign(middleware, { [uniqueSymbol]: { target: 'json' as const, ...resolver(schema) } })
}

/** Query parameters of this schema. */
export function query<Schema extends z.ZodType>(schema: Schema) {
  const middleware: MiddlewareHandler<
    App,
    string,
    { in: { query: z.input<Schema> }; out: { query: z.output<Schema> } }
  > = async (c, next) => {
    c.req.addValidatedData('query', checked(schema, c.req.query()) as object)
    await next()
  }
  return Object.assign(middleware, { [uniqueSymbol]: { target: 'query' as const, ...resolver(schema) } })
}

/** The lock that the caller of a write holds, of `x-hub-lock: <name>=<token>`. Throws 400. */
export function fenceOf(c: Context): Fence | undefined {
  const text = c.req.header('x-hub-lock')
  if (text === undefined) return undefined
  const [, lock = '', digits] = /^(.+)=([1-9]\d{0,15})$/.exec(text) ?? []
  const token = Number(digits)
  if (NAME.test(lock) && Number.isSafeInteger(token)) return { lock, token }
  const message =
    'x-hub-lock: must be the name of a lock and your token, as in `x-hub-lock: orders=1790000000001`'
  throw new HubError({ code: 'invalid_value', status: 400, message, param: 'x-hub-lock' })
}

/** The version that a write goes with, of `If-Match: "3"`; none for `*`. Throws 400. */
export function ifMatchOf(c: Context): number | undefined {
  const text = c.req.header('if-match')?.trim()
  if (text === undefined || text === '*') return undefined
  const [, digits] = /^"?(\d{1,15})"?$/.exec(text) ?? []
  if (digits !== undefined) return Number(digits)
  const message = 'if-match: must be one version, as in `If-Match: "3"`'
  throw new HubError({ code: 'invalid_value', status: 400, message, param: 'if-match' })
}

/** For `describeRoute`: the route's write honours `ifMatchOf`. */
export const IF_MATCH = {
  in: 'header',
  name: 'If-Match',
  schema: { type: 'string' },
  description: 'the version that you read: 412 `version_conflict` where there is another by now',
} as const

/** For `describeRoute`: the route does once what it is asked twice with the same one. */
export const IDEMPOTENCY_KEY = {
  in: 'header',
  name: 'Idempotency-Key',
  schema: { type: 'string' },
  description: 'with the same one the call may be repeated',
} as const

/** For `describeRoute`: the route's write honours `fenceOf`. */
export const HUB_LOCK = {
  in: 'header',
  name: 'x-hub-lock',
  schema: { type: 'string' },
  description: '`<lock>=<token>`: 412 `lock_lost` where a later holder of the lock wrote',
} as const

/** A successful reply for the OpenAPI document. */
export const replies = (status: 200 | 201, description: string, schema: z.ZodType) => ({
  [status]: { description, content: { 'application/json': { schema: resolver(schema) } } },
})

function readText(c: Context): Promise<string> {
  const type = c.req.header('content-type') ?? ''
  if (/^application\/(?:[\w.+-]+\+)?json\b/i.test(type)) return c.req.text()
  const message = `Content-Type is ${type ? `\`${type}\`` : 'missing'}. Send JSON as \`Content-Type: application/json\`.`
  throw new HubError({ code: 'unsupported_media_type', status: 415, message })
}

/** What walks through a body recursively must not run out of stack. */
const DEEPEST = 200

/** Text that a caller sent as JSON. Throws 400. */
export function parseJson(text: string, param = 'body'): unknown {
  const invalid = (message: string, cause?: unknown) =>
    new HubError({ code: 'invalid_json', status: 400, message, param, cause })
  const name = param === 'body' ? 'The body' : `\`${param}\``
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalid(`${name} is not JSON: ${(error as Error).message}`, error)
  }
  if (!isWithin(value, DEEPEST)) throw invalid(`${name} is nested more than ${DEEPEST} levels deep.`)
  return value
}

/** Loops and no lists of its own: it looks at every number of a vector and every value of a batch. */
function isWithin(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (levels === 0) return false
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isWithin(value[i], levels - 1)) return false
    return true
  }
  for (const name in value) if (!isWithin((value as Record<string, unknown>)[name], levels - 1)) return false
  return true
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part)
  return Object.freeze(value)
}

/** What a caller sent, as the schema says. Throws 400 with the path. */
export function checked<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const { success, data, error } = schema.safeParse(value)
  if (success) return data
  const issue = error.issues[0]!
  const path = issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0]!] : issue.path
  const param = z.core.toDotPath(path) || 'body'
  throw new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${issue.message}`, param })
}
