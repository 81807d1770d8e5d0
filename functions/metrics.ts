import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { HubError } from '../shared/errors.ts'
import { DEFAULT_TENANT } from '../shared/keys.ts'
import type { App, Deps } from './deps.ts'
import { admitted } from './http.ts'

/** `GET /metrics`: what this process has counted, in Prometheus' text format. */
export const metrics = ({ admission, metrics }: Pick<Deps, 'admission' | 'metrics'>) =>
  new Hono<App>().get(
    '/metrics',
    describeRoute({
      summary: 'Metrics of this process, in Prometheus’ text format',
      responses: {
        200: { description: 'The metrics', content: { 'text/plain': { schema: { type: 'string' } } } },
      },
    }),
    admitted(admission, 'face'),
    async (c) => {
      // They are of all tenants together.
      if (c.var.caller.tenant !== DEFAULT_TENANT) throw notYours()
      if (!metrics) throw none()
      return c.text(await metrics.prometheus(), 200, {
        'content-type': 'text/plain; version=0.0.4; charset=utf-8',
        'cache-control': 'no-store',
      })
    },
  )

function notYours() {
  const message = 'Metrics are of the whole hub: use the admin key, or a key of the default tenant.'
  return new HubError({ code: 'forbidden', status: 403, message })
}

function none() {
  const message =
    'This hub keeps no metrics: on Workers and Lambda an instance lives too briefly to be scraped, and on Node HUB_METRICS is off.'
  return new HubError({ code: 'not_supported', status: 501, message })
}
