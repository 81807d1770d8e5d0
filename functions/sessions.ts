import { type Context, Hono } from 'hono'
import { describeRoute, resolver } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import { splitReplies } from '../shared/send.ts'
import { HANDLE, readSessionId } from '../shared/sessions/session-id.ts'
import type { OpenedSession, Session } from '../shared/sessions/sessions.ts'
import type { App, Deps } from './deps.ts'
import {
  admitted,
  checked,
  claimed,
  IDEMPOTENCY_KEY,
  IF_MATCH,
  ifMatchOf,
  json,
  parseJson,
  query,
  replies,
} from './http.ts'
import { JsonObject, preferences, SCOPE, UserName } from './preferences.ts'

const NewSession = z.strictObject({
  user: UserName,
  data: JsonObject.default({}).describe('what the application remembers of it, at most 16 KiB'),
  idle_seconds: z
    .int()
    .min(1)
    .max(7_776_000)
    .default(1_800)
    .describe('it ends when nobody used it for so long'),
  absolute_seconds: z.int().min(1).max(31_536_000).default(604_800).describe('it ends then, used or not'),
})
const Patch = z.strictObject({ data: JsonObject.describe('a JSON merge patch (RFC 7396): `null` removes') })
const Rotation = z.strictObject({
  grace_seconds: z
    .number()
    .min(0)
    .max(30)
    .default(0)
    .describe('the id before holds so much longer, for requests in flight'),
})

const Handle = z.string().regex(HANDLE, 'must be the `handle` of a session')
const OfUser = z.strictObject({ user: UserName })
const Ended = z
  .strictObject({
    user: UserName,
    handle: Handle.optional().describe('only this one'),
    except: z
      .string()
      .refine(
        (text) => HANDLE.test(text) || readSessionId(text) !== undefined,
        'must be the `handle` of a session',
      )
      .optional()
      .describe('all but this one'),
  })
  .refine(({ handle, except }) => handle === undefined || except === undefined, {
    ...{ message: 'does not go with `handle`', path: ['except'] },
  })

const Shown = z.object({
  handle: z.string().describe('names it in lists and logs; opens nothing, and stays when it is rotated'),
  user: z.string(),
  data: z.looseObject({}),
  version: z.int().describe('of the data'),
  created_at: z.string(),
  seen_at: z.string(),
  idle_expires_at: z.string().describe('each use puts it off'),
  expires_at: z.string(),
})
const Opened = Shown.extend({ id: z.string().describe('whoever has it is the user: shown only here') })

const ID =
  'its id, or `current` where `x-hub-session` holds it: paths are written to logs of servers in between'

/** `/v1/sessions`: opaque ids that an application gives its users, and what it remembers of them. */
export function sessions(
  deps: Pick<Deps, 'sessions' | 'preferences' | 'preferenceTypes' | 'admission' | 'redis'>,
) {
  const { sessions, admission, redis } = deps
  const member = admitted(admission, SCOPE)
  return new Hono<App>()
    .route('/', preferences(deps))
    .post(
      '/v1/sessions',
      describeRoute({
        summary: 'Begin a session',
        description: 'A user has 100 at most: the one that was seen longest ago ends.',
        parameters: [IDEMPOTENCY_KEY],
        responses: replies(201, 'The session', Opened),
      }),
      member,
      json(NewSession),
      async (c) => {
        const { user, data, idle_seconds, absolute_seconds } = c.req.valid('json')
        const wanted = { user, data, idleMs: idle_seconds * 1_000, absoluteMs: absolute_seconds * 1_000 }
        const made = await sessions.create(c.var.caller.tenant, wanted, onceOf(c))
        return c.json(shownOpened(made), 201, headersOf(made))
      },
    )
    .get(
      '/v1/sessions',
      describeRoute({
        summary: 'List the sessions of a user',
        responses: replies(200, 'The latest seen first', z.object({ data: z.array(Shown) })),
      }),
      member,
      query(OfUser),
      async (c) => {
        const listed = await sessions.list(c.var.caller.tenant, c.req.valid('query').user)
        return c.json({ data: listed.map(shown) }, 200, PRIVATE)
      },
    )
    .delete(
      '/v1/sessions',
      describeRoute({
        summary: 'End all sessions of a user, one of them, or all but one',
        responses: replies(200, 'How many have ended', z.object({ revoked: z.int() })),
      }),
      member,
      query(Ended),
      async (c) => {
        const { user, handle, except } = c.req.valid('query')
        const kept = except && (readSessionId(except)?.handle ?? except)
        const revoked = await sessions.endAll(c.var.caller.tenant, user, { only: handle, except: kept })
        return c.json({ revoked })
      },
    )
    .get(
      '/v1/sessions/:id',
      describeRoute({
        summary: 'Whose session it is; puts off its idle end',
        description: `The path has ${ID}.`,
        responses: replies(200, 'The session', Shown),
      }),
      claimed(admission),
      async (c) => {
        const { claim } = c.var
        const who = await admission.ask(claim)
        // Even a caller who turns out not to be admitted had the id, and is told nothing.
        const tenant = 'caller' in claim ? claim.caller.tenant : claim.key.tenant
        const what = sessions.ask(tenant, idOf(c))
        // It has nothing to fall back on, so it waits longer than a cache's look would.
        const replies = await redis
          .wave([...who.calls, ...what.calls], { timeoutMs: 1_000 })
          .catch((error: Error) => error)
        const [aboutCaller, aboutSession] = splitReplies(replies, who.calls.length)
        const { headers } = await who.settle(aboutCaller, SCOPE)
        const session = what.settle(aboutSession)
        return c.json(shown(session), 200, { ...headers, ...headersOf(session) })
      },
    )
    .patch(
      '/v1/sessions/:id',
      describeRoute({
        summary: 'Change what is remembered of a session',
        parameters: [IF_MATCH],
        responses: replies(200, 'The session', Shown),
      }),
      member,
      json(Patch),
      async (c) => {
        const { data } = c.req.valid('json')
        const session = await sessions.patch(c.var.caller.tenant, idOf(c), data, ifMatchOf(c))
        return c.json(shown(session), 200, headersOf(session))
      },
    )
    .post(
      '/v1/sessions/:id/rotate',
      describeRoute({
        summary: 'Give a session another id',
        description:
          'The id before ends at once, or after `grace_seconds`. Of several at the same time one wins, the others get 404, or within the grace 409 `session_rotated`. With an Idempotency-Key it may be repeated for ten minutes. Do it whenever the user’s rights change, as after a login.',
        parameters: [IDEMPOTENCY_KEY],
        requestBody: { content: { 'application/json': { schema: resolver(Rotation) } } },
        responses: replies(200, 'The session with its new id', Opened),
      }),
      member,
      async (c) => {
        const text = await c.req.text()
        const { grace_seconds } = checked(Rotation, text === '' ? {} : parseJson(text))
        const graceMs = Math.round(grace_seconds * 1_000)
        const rotated = await sessions.rotate(c.var.caller.tenant, idOf(c), graceMs, onceOf(c))
        return c.json(shownOpened(rotated), 200, headersOf(rotated))
      },
    )
    .delete(
      '/v1/sessions/:id',
      describeRoute({ summary: 'End a session', responses: { 204: { description: 'It has ended' } } }),
      member,
      async (c) => {
        await sessions.end(c.var.caller.tenant, idOf(c))
        return c.body(null, 204)
      },
    )
}

/** A secret: no message and no line of a log may hold it. */
function idOf(c: Context<App, '/v1/sessions/:id'>): string {
  const id = c.req.param('id')
  if (id !== 'current') return id
  const sent = c.req.header('x-hub-session')
  if (sent !== undefined) return sent
  const message = 'x-hub-session: is missing. With `current` in the path it holds the id of the session.'
  throw new HubError({ code: 'invalid_value', status: 400, message, param: 'x-hub-session' })
}

function onceOf(c: Context<App>): string | undefined {
  const key = c.req.header('idempotency-key')
  return key === undefined ? undefined : `${c.var.caller.keyId ?? ''}/${key}`
}

const PRIVATE = { 'Cache-Control': 'no-store' }
const headersOf = ({ version }: Session) => ({ ...PRIVATE, ETag: `"${version}"` })

const time = (ms: number) => new Date(ms).toISOString()

const shown = ({ handle, user, data, version, ...at }: Session) => ({
  ...{ handle, user, data, version },
  ...{ created_at: time(at.createdAt), seen_at: time(at.seenAt) },
  ...{ idle_expires_at: time(at.idleExpiresAt), expires_at: time(at.expiresAt) },
})

const shownOpened = ({ id, ...session }: OpenedSession) => ({ id, ...shown(session) })
