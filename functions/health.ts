import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { TENANTS_KEY } from '../shared/keys.ts'
import type { App, Deps } from './deps.ts'
import { replies } from './http.ts'

const Ready = z.object({
  status: z.enum(['ok', 'degraded', 'starting']),
  redis: z.enum(['ok', 'away']),
})

/** Always there, without a key. */
export function health({ redis }: Pick<Deps, 'redis'>) {
  let wasReady = false
  return new Hono<App>()
    .get(
      '/healthz',
      describeRoute({
        summary: 'The process lives',
        security: [],
        responses: replies(200, 'It does', z.object({ status: z.literal('ok') })),
      }),
      (c) => c.json({ status: 'ok' }),
    )
    .get(
      '/readyz',
      describeRoute({
        summary: 'It can serve: 200 from then on, `degraded` while Redis is away',
        security: [],
        responses: { ...replies(200, 'It can', Ready), 503: { description: 'It never could yet' } },
      }),
      async (c) => {
        // Of a key, which a Cluster that serves none refuses; it still answers PING.
        const [found] = await redis.wave([['EXISTS', TENANTS_KEY]]).catch(() => [undefined])
        const ok = typeof found === 'number'
        wasReady ||= ok
        return c.json(
          { status: ok ? 'ok' : wasReady ? 'degraded' : 'starting', redis: ok ? 'ok' : 'away' },
          wasReady ? 200 : 503,
        )
      },
    )
}
