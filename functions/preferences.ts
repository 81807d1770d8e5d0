import { type Context, Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { DEFAULT_TENANT, NAME } from '../shared/keys.ts'
import type { Preferences } from '../shared/preferences/preferences.ts'
import { splitReplies } from '../shared/send.ts'
import type { App, Deps } from './deps.ts'
import {
  admitted,
  checked,
  claimed,
  fenceOf,
  HUB_LOCK,
  IF_MATCH,
  ifMatchOf,
  json,
  query,
  replies,
} from './http.ts'

/** The name of the function in the table: what a key's scopes are asked for. */
export const SCOPE = 'sessions'

export const UserName = z
  .string()
  .min(1)
  .max(256)
  .refine(
    (text) => text.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(text),
    'must hold no control characters',
  )
  .describe('the application’s own name of the user')

/** Any JSON object; a record would leave `__proto__` out without a word. */
export const JsonObject = z
  .preprocess(
    (given) => (Object.hasOwn(Object(given), '__proto__') ? undefined : given),
    z.record(z.string(), z.unknown()),
  )
  .refine(hasGoodNames, 'has a name that is no valid Unicode')

const Patch = JsonObject.refine(
  (patch) => Object.keys(patch).every((name) => NAME.test(name)),
  'has a name that is not 1 to 64 of A-Z a-z 0-9 _ . -',
).describe('a JSON merge patch (RFC 7396): `null` removes')

const Types = z.strictObject({
  types: z
    .record(
      z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -'),
      z.looseObject({
        type: z.enum(['string', 'number', 'integer', 'boolean', 'object', 'array']),
        default: z.unknown().optional().describe('where a user has chosen nothing'),
      }),
    )
    .refine((types) => Object.keys(types).length <= 500, 'has more than 500 preferences')
    .describe('JSON Schema of each preference'),
  additional: z.boolean().default(true).describe('whether there may be others, of any type'),
})

const Shown = z.object({
  user: z.string(),
  values: z.looseObject({}),
  version: z.int().describe('rises with each change'),
  channel: z
    .string()
    .describe('the realtime channel that tells of changes: `preferences`, `{version, patch}`'),
})

const OfTenant = z.object({
  tenant: z.string().regex(NAME).default(DEFAULT_TENANT).describe('whose users'),
})

type Used = Pick<Deps, 'preferences' | 'preferenceTypes' | 'admission' | 'redis'>

/** `/v1/preferences/{user}`, and what there is to choose: `/v1/preference-types`. */
export function preferences({ preferences, preferenceTypes, admission, redis }: Used) {
  const admin = admitted(admission, 'admin')

  /** Who asks, and what is known, in one wave. */
  async function known(c: Context<App>, user: string) {
    const { claim } = c.var
    const who = await admission.ask(claim)
    const tenant = 'caller' in claim ? claim.caller.tenant : claim.key.tenant
    const what = preferences.ask(tenant, user)
    const replies = await redis
      .wave([...who.calls, ...what.calls], { timeoutMs: 1_000 })
      .catch((error: Error) => error)
    const [aboutCaller, aboutUser] = splitReplies(replies, who.calls.length)
    const { headers } = await who.settle(aboutCaller, SCOPE)
    for (const [name, value] of Object.entries(headers)) c.header(name, value)
    return { tenant, held: what.settle(aboutUser) }
  }

  const shown = (user: string, { version }: Preferences, values: Preferences['values']) =>
    [
      { user, values, version, channel: preferences.channelOf(user) },
      200,
      { ETag: `"${version}"`, 'Cache-Control': 'no-store' },
    ] as const

  return new Hono<App>()
    .get(
      '/v1/preferences/:user',
      describeRoute({
        summary: 'Read a user’s preferences, defaults filled in',
        responses: replies(200, 'The preferences', Shown),
      }),
      claimed(admission),
      query(
        z.object({
          stored: z.enum(['true', 'false']).default('false').describe('only what the user has chosen'),
        }),
      ),
      async (c) => {
        const user = userOf(c.req.param('user'))
        const found = preferences.shown((await known(c, user)).held)
        return c.json(
          ...shown(user, found, c.req.valid('query').stored === 'true' ? found.stored : found.values),
        )
      },
    )
    .patch(
      '/v1/preferences/:user',
      describeRoute({
        summary: 'Change some of a user’s preferences',
        description: 'All of it or nothing. Listeners of `channel` are told.',
        parameters: [IF_MATCH, HUB_LOCK],
        responses: replies(200, 'All of them', Shown),
      }),
      claimed(admission),
      json(Patch),
      async (c) => {
        const user = userOf(c.req.param('user'))
        const wanted = { patch: c.req.valid('json'), ifVersion: ifMatchOf(c), fence: fenceOf(c) }
        const { tenant, held } = await known(c, user)
        const changed = await preferences.patch(tenant, user, { ...wanted, defer: c.env.defer }, held)
        return c.json(...shown(user, changed, changed.values))
      },
    )
    .put(
      '/v1/preference-types',
      describeRoute({
        summary: 'Say what preferences a tenant’s users have, and of which types',
        description: 'What was chosen before stays as it is.',
        responses: replies(200, 'The types', Types),
      }),
      admin,
      query(OfTenant),
      json(Types),
      async (c) => {
        const declared = c.req.valid('json')
        await preferenceTypes.put(c.req.valid('query').tenant, declared)
        return c.json(declared)
      },
    )
    .get(
      '/v1/preference-types',
      describeRoute({
        summary: 'Read what preferences a tenant’s users have',
        responses: replies(200, 'The types', Types),
      }),
      admin,
      query(OfTenant),
      async (c) => c.json(await preferenceTypes.get(c.req.valid('query').tenant)),
    )
}

const userOf = (user: string) => checked(z.object({ user: UserName }), { user }).user

/** At any depth: a script reads them as JSON, which holds no half of a character. */
function hasGoodNames(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return true
  return Object.entries(value).every(([name, inner]) => name.isWellFormed() && hasGoodNames(inner))
}
