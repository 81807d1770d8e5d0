import { Hono, type MiddlewareHandler } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { newId } from '../shared/ids.ts'
import { NAME } from '../shared/keys.ts'
import type { BreakerStatus } from '../shared/models/breaker-memory.ts'
import { Breaker, Setting, shown } from './breaker-body.ts'
import type { App, Deps } from './deps.ts'
import { admitted, checked, json, query, replies } from './http.ts'

const OwnName = z.object({ name: z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -') })
const OfTenant = z.object({
  tenant: z.string().regex(NAME).optional().describe('the caller’s own by default; of others: admin'),
})

const Answer = z.object({
  admitted: z.boolean().describe('whether one call may go out'),
  permit: z
    .string()
    .nullable()
    .describe('of the one call that a half-open breaker lets out: say with it how that ended'),
  state: z.enum(['closed', 'open', 'half-open']),
  seconds_left: z
    .number()
    .nullable()
    .describe('to the end of the permit, one’s own or another’s; of an open one, until it admits a call'),
})
const Ended = z.strictObject({
  outcome: z
    .enum(['success', 'failure', 'released'])
    .describe('`success`: the target answered, if only that it refuses. `released`: nothing is known of it'),
  count: z.int().min(1).max(100_000).default(1).describe('of equal calls; a permit is of one'),
  permit: z.string().min(1).max(200).optional(),
})

/** `/v1/app-breakers/{name}`: breakers of an application's own targets, which every process of the tenant shares. */
export function appBreakers({ breakers, admission }: Pick<Deps, 'breakers' | 'admission'>) {
  const own = admitted(admission, 'platform')
  const admin = admitted(admission, 'admin')
  const admit: MiddlewareHandler<App> = (c, next) =>
    (c.req.query('tenant') === undefined ? own : admin)(c, next)

  return new Hono<App>()
    .get(
      '/v1/app-breakers/:name',
      describeRoute({
        summary: 'Read a breaker of an application',
        responses: replies(200, 'The breaker', Breaker),
      }),
      admit,
      query(OfTenant),
      async (c) => c.json(shown(await breakers.read(nameOf(c)))),
    )
    .post(
      '/v1/app-breakers/:name',
      describeRoute({
        summary: 'Open or close a breaker of an application by hand, or leave it to itself',
        responses: replies(200, 'The breaker', Breaker),
      }),
      admit,
      query(OfTenant),
      json(Setting),
      async (c) => {
        const { state, seconds } = c.req.valid('json')
        return c.json(shown(await breakers.set(nameOf(c), state, seconds)))
      },
    )
    .post(
      '/v1/app-breakers/:name/permits',
      describeRoute({
        summary: 'May a call to the target go out?',
        description:
          'A half-open breaker admits one call of all who ask, until that one ended or its time is over.',
        responses: replies(200, 'Yes or no', Answer),
      }),
      admit,
      query(OfTenant),
      async (c) => {
        const id = newId()
        const { isProbe, ...status } = await breakers.ask(nameOf(c), id)
        const { seconds_left } = shown(status)
        const admitted = isProbe || status.state === 'closed'
        return c.json({ admitted, permit: isProbe ? id : null, state: status.state, seconds_left })
      },
    )
    .post(
      '/v1/app-breakers/:name/calls',
      describeRoute({
        summary: 'Tell how calls to the target ended',
        description:
          'Each count is counted once more when it is sent again; a permit ends once. What a closed breaker is told within its window decides whether it opens.',
        responses: replies(200, 'The breaker after that', Breaker),
      }),
      admit,
      query(OfTenant),
      json(Ended),
      async (c) => c.json(shown(await tell(nameOf(c), c.req.valid('json')))),
    )

  function tell(name: Name, { outcome, count, permit }: z.output<typeof Ended>): Promise<BreakerStatus> {
    if (permit !== undefined) return breakers.endProbe(name, permit, OUTCOMES[outcome])
    if (outcome === 'released') return breakers.read(name)
    return breakers.report(name, outcome === 'success' ? { succeeded: count } : { failed: count })
  }
}

const OUTCOMES = { success: 'ok', failure: 'failed', released: 'released' } as const

type Name = ReturnType<typeof nameOf>

/** Names of targets of the hub's own begin with a provider; none of them is named `app`. */
const nameOf = (c: {
  req: { param(name: 'name'): string; valid(target: 'query'): z.output<typeof OfTenant> }
  var: App['Variables']
}) => ({
  tenant: c.req.valid('query').tenant ?? c.var.caller.tenant,
  name: `app/${checked(OwnName, { name: c.req.param('name') }).name}`,
})
