import { FromReply, type Story } from './example.ts'

const user = 'ada'
const id = new FromReply('POST /v1/sessions', '$response.body#/id', 'SESSION_ID')
const rotated = new FromReply('POST /v1/sessions/{id}/rotate', '$response.body#/id', 'SESSION_ID')
const token = new FromReply('POST /v1/locks/{name}', '$response.body#/token', 'TOKEN', 1790000000001)
const service = { name: 'billing', instance: 'billing-1' }
const name = { name: 'billing' }
const orders = { name: 'orders' }
const namespace = 'web-shop'
const channel = 'halls'

/** Sessions, preferences, locks, services, configuration, breakers and channels. */
export const platformStory: Story = {
  'GET /healthz': {},
  'GET /readyz': {},
  'POST /v1/sessions': { body: { user, data: { cart: ['tea'] }, idle_seconds: 1800 } },
  'GET /v1/sessions': { query: { user } },
  'GET /v1/sessions/{id}': { path: { id } },
  'PATCH /v1/sessions/{id}': { path: { id }, body: { data: { cart: ['tea', 'cups'] } } },
  'POST /v1/sessions/{id}/rotate': { path: { id }, body: { grace_seconds: 10 } },
  'DELETE /v1/sessions/{id}': { path: { id: rotated } },
  'DELETE /v1/sessions': { query: { user } },
  'PUT /v1/preference-types': {
    body: { types: { theme: { type: 'string', enum: ['light', 'dark'], default: 'light' } } },
  },
  'GET /v1/preference-types': {},
  'PATCH /v1/preferences/{user}': { path: { user }, body: { theme: 'dark' } },
  'GET /v1/preferences/{user}': { path: { user } },
  'POST /v1/locks/{name}': { path: orders, body: { ttl_seconds: 30, owner: 'worker-1' } },
  'GET /v1/locks/{name}': { path: orders },
  'PUT /v1/locks/{name}': { path: orders, body: { token, ttl_seconds: 30 } },
  'DELETE /v1/locks/{name}': { path: orders, query: { token } },
  'PUT /v1/services/{name}/{instance}': {
    path: service,
    body: { url: 'http://10.0.0.7:8080', ttl_seconds: 60, metadata: { zone: 'a' } },
  },
  'GET /v1/services': { query: { limit: 10 } },
  'GET /v1/services/{name}': { path: name },
  'GET /v1/services/{name}/{instance}': { path: service },
  'GET /v1/service-choices/{name}': { path: name },
  'DELETE /v1/services/{name}/{instance}': { path: service },
  'PUT /v1/config/{namespace}': {
    path: { namespace },
    query: { note: 'first settings' },
    body: { currency: 'EUR', free_shipping_from: 50 },
  },
  'PATCH /v1/config/{namespace}': { path: { namespace }, body: { free_shipping_from: 40 } },
  'GET /v1/config': { query: { limit: 10 } },
  'GET /v1/config/{namespace}': { path: { namespace } },
  'GET /v1/config/{namespace}/history': { path: { namespace }, query: { limit: 10 } },
  'POST /v1/config/{namespace}/rollback': { path: { namespace }, body: { version: 1 } },
  'DELETE /v1/config/{namespace}': { path: { namespace } },
  'POST /v1/app-breakers/{name}/permits': { path: name },
  'POST /v1/app-breakers/{name}/calls': { path: name, body: { outcome: 'success', count: 1 } },
  'POST /v1/app-breakers/{name}': { path: name, body: { state: 'open', seconds: 60 } },
  'GET /v1/app-breakers/{name}': { path: name },
  'POST /v1/realtime-tokens': { body: { channels: [channel], ttl_seconds: 300 } },
  'POST /v1/realtime/{channel}': { path: { channel }, body: { type: 'reading', data: { celsius: 20 } } },
  'GET /v1/realtime/{channel}': { path: { channel }, accept: 'text/event-stream' },
  'GET /v1/realtime/{channel}/presence': { path: { channel } },
}
