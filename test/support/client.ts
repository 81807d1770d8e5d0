import { createHubClient } from '../../infra/client/client.ts'
import { unique } from './app.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub } from './hub.ts'

const SCOPES = ['platform', 'sessions', 'realtime', 'ingest-event', 'prompts']

/** A client of a tenant of its own. */
export async function newTenant(url: string, settings: object = {}) {
  const tenant = unique('tenant')
  const admin = createHubClient({ baseUrl: url, key: ADMIN_KEY })
  const { key, id } = await admin.call('POST /v1/keys', { body: { tenant, scopes: SCOPES, ...settings } })
  return { ...{ tenant, key, id, admin }, hub: createHubClient({ baseUrl: url, key }) }
}

/** Another hub process at the address of one that ended. */
export const startAgainAt = (url: string, env: Record<string, string | undefined>): Promise<NodeHub> =>
  startNodeHub({ ...env, PORT: new URL(url).port })
