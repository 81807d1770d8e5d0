import { Hono } from 'hono'
import { requestId } from 'hono/request-id'
import type { App } from '../functions/deps.ts'
import { HubError } from '../shared/errors.ts'
import { type Rim, wire } from './wire.ts'

/** What a rim does with a hub. */
export interface Hub {
  app: { fetch(request: Request, bindings: App['Bindings']): Response | Promise<Response> }
  /** Runs what is due; `trigger` is the cron or the rule that fired. */
  scheduled(trigger: string): Promise<void>
  close(): Promise<void>
}

/**
 * The hub for a runtime that anyone can reach and whose start nobody watches: what keeps it from serving, a missing
 * HUB_ADMIN_KEY above all, is logged and told on every route.
 */
export function wireHosted(variables: Record<string, unknown>, rim: Rim): Hub {
  try {
    return wire(textsOf(variables), { ...rim, needsAdminKey: true })
  } catch (cause) {
    const refuse = () => rim.log.error({ msg: 'The hub is not configured', cause })
    refuse()
    const { message } = cause as Error
    const error = new HubError({ code: 'not_configured', status: 503, message })
    const app = new Hono<App>()
      .use(requestId())
      .get('/healthz', (c) => c.json({ status: 'ok' }))
      .all('*', (c) => c.json(error, 503))
    return { app, scheduled: async () => refuse(), close: async () => {} }
  }
}

/** A Worker's other bindings (buckets, queues, services) are not for us. */
const textsOf = (variables: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(variables).filter(([, value]) => typeof value === 'string')) as Record<
    string,
    string
  >
